"""Releases use locked, hashed dependencies and jobs with minimal rights."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import linters
from tests.test_image import instructions

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "lock").glob("*.txt"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
_ENTRY = re.compile(r"^(?P<requirement>[^#\s-].*?)(?P<hashes>( \\\n {4}--hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE)


def locked(path: Path) -> dict[str, Requirement]:
    """Return the packages of a lock, without hashes."""
    found = [Requirement(entry["requirement"]) for entry in _ENTRY.finditer(path.read_text(encoding="utf-8"))]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def wanted(group: str) -> list[Requirement]:
    """Return the requirements of the project ("") or of a group."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    if not group:
        return [Requirement(text) for text in document["project"]["dependencies"]]
    lines = document["dependency-groups"][group]
    return [one for line in lines for one in (wanted(line["include-group"]) if isinstance(line, dict) else [Requirement(line)])]


def test_every_lock_is_tested():
    """Each file in lock/ is checked here."""
    assert [path.name for path in LOCKS] == ["build.txt", "queue.txt", "release.txt", "runtime.txt", "serve.txt"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_each_line_is_one_version_with_its_hashes(path):
    """No index, file or URL."""
    text = path.read_text(encoding="utf-8")
    entries = list(_ENTRY.finditer(text))

    assert entries
    for entry in entries:
        requirement = Requirement(entry["requirement"])
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), requirement
        assert requirement.url is None
        assert entry["hashes"], requirement
    assert re.sub(r"^#.*\n", "", _ENTRY.sub("", text), flags=re.MULTILINE).strip() == ""


@pytest.mark.parametrize(("path", "group"), [("build.txt", "build"), ("release.txt", "release"), ("runtime.txt", ""), ("queue.txt", ""), ("serve.txt", "")])
def test_lock_is_up_to_date(path, group):
    """Each requirement is locked in an allowed version; `make lock` updates it."""
    there = locked(ROOT / "lock" / path)

    for requirement in wanted(group):
        version = str(there[canonicalize_name(requirement.name)].specifier).removeprefix("==")
        assert requirement.specifier.contains(version), f"{requirement} but {version} is locked: make lock"


def test_transitive_dependencies_are_locked():
    """Everything that is installed for imgsync's libraries."""
    there = locked(ROOT / "lock" / "runtime.txt")
    seen: set[str] = set()
    left = [canonicalize_name(requirement.name) for requirement in wanted("")]
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        needs = map(Requirement, requires(name) or [])
        left += [canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]

    assert seen <= set(there)
    assert "httpcore" in seen


def pip_installs() -> Iterator[str]:
    """Yield each command that installs something."""
    for name, argument in instructions():
        if name == "RUN":
            yield from (command for command in re.split(r"&&", argument) if " install " in command and "pip" in command)
    steps = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
    script = next(step["run"] for step in steps if step["name"] == "Install imgsync")
    yield from (line for line in script.splitlines() if '"${pip[@]}"' in line and "imgsync-mirror==" not in line)


def test_image_and_action_install_by_hash_alone():
    """Or from the folder that is being built."""
    commands = list(pip_installs())

    assert len(commands) == 5
    for command in commands:
        assert "--require-hashes" in command or {"--no-index", "--no-deps"} <= set(command.split()), command


def jobs() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            yield path, name, job


def test_jobs_have_the_least_rights():
    """Workflows have none, jobs few, pull requests read-only ones."""
    for path in WORKFLOWS:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert document["permissions"] == {}
        assert "pull_request_target" not in path.read_text(encoding="utf-8")
    rights = {(path.stem, name): job["permissions"] for path, name, job in jobs()}

    assert {right for (workflow, _), given in rights.items() if workflow != "release" for right in given.items()} == {("contents", "read")}
    assert {name: set(given) for (workflow, name), given in rights.items() if workflow == "release"} == {
        "test": {"contents"},
        "build": {"contents"},
        "attest": {"id-token", "attestations"},
        "pypi": {"id-token"},
        "image": {"contents", "packages", "id-token", "attestations"},
        "release": {"contents"},
    }
    assert [name for (_, name), given in rights.items() if given.get("contents") == "write"] == ["release"]


def test_every_action_is_pinned():
    """By commit hash, with the version as a comment."""
    for path in [*WORKFLOWS, ROOT / "action.yml"]:
        uses = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if "uses: " in line]
        assert all(re.fullmatch(r"(- )?uses: [\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses), uses


def test_nothing_is_published_that_was_not_tested():
    """Tests, audit and build come first; provenance and SBOM are published too."""
    release = {name: job for path, name, job in jobs() if path.stem == "release"}
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in release.items()}

    assert runs["test"][-2:] == ["bash .ci/run", "make audit"]
    assert runs["build"] == ["make build"], "of locked packages alone, on a machine where no test ran"
    assert runs["attest"] == [], "where the signature is made, nothing of ours runs"
    assert [release[name]["needs"] for name in ("build", "attest", "pypi", "image")] == ["test", "build", ["build", "attest"], ["build", "attest"]]
    assert release["release"]["needs"] == ["build", "attest", "pypi", "image"]
    pushed = next(step["with"] for step in release["image"]["steps"] if step.get("id") == "push")
    assert (pushed["provenance"], pushed["sbom"]) == ("mode=max", True)
    assert sum("attest-build-provenance" in step.get("uses", "") for job in release.values() for step in job["steps"]) == 2


def test_accepted_advisories_are_explained():
    """SECURITY.md explains each."""
    accepted = re.search(r"^ACCEPTED := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    rows = re.findall(r"^\| (CVE-\d+-\d+) \|", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert accepted is not None
    assert accepted[1].split() == rows


def test_dependabot_configuration_is_valid():
    """By its schema and zizmor."""
    file = ROOT / ".github/dependabot.yml"
    linters.fits("vendor.dependabot")(file)
    linters.is_secure(file)
