"""`imgsync init`: its files are valid, work, and replace nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from imgsync.fmt.format_text import format_text
from imgsync.init.origin import Origin
from tests.support import linters
from tests.support.run_imgsync import Workplace
from tests.support.workflow_scripts import program, script_of

MIRROR = ".github/workflows/mirror.yml"
COMMENT = ".github/workflows/mirror-comment.yml"
LOCK = ".github/workflows/mirror-lock.yml"


def fits_its_modeline(file: Path) -> None:
    """Assert that the file fits the schema named in its first line."""
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", file.read_text(encoding="utf-8").splitlines()[0])
    assert named is not None
    linters.tool("check-jsonschema", "--schemafile", file.parent / named.group(1), file)


def is_a_pre_commit_config(file: Path) -> None:
    """Assert that pre-commit accepts the file and its hooks have this version."""
    linters.tool("pre-commit", "validate-config", file)
    hooks = yaml.safe_load(file.read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["imgsync-fmt", "imgsync-validate"]
    assert all(hook["additional_dependencies"] == [f"{Origin().requirement}"] for hook in hooks)


def has_the_layout(file: Path) -> None:
    """Assert that `imgsync fmt` changes nothing."""
    assert format_text(file.read_bytes(), file=file.name) == file.read_text(encoding="utf-8")


def has_one_requirement(file: Path) -> None:
    """Assert that the one requirement is where imgsync comes from."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert [str(Requirement(line)) for line in lines] == [Origin().requirement]


def ignores_what_runs_leave(file: Path) -> None:
    """Assert that git ignores what runs leave, and no generated file."""

    def git(*arguments: str) -> list[str]:
        return subprocess.run(["git", *arguments], cwd=file.parent, capture_output=True, text=True, check=True).stdout.splitlines()

    generated = {str(path.relative_to(file.parent)) for path in file.parent.rglob("*") if path.is_file() and ".git" not in path.parts}
    git("init", "--quiet")
    left = [".imgsync/state/cache.db", "plan.json", "plan.md", "report.html"]
    assert git("check-ignore", *left) == left
    assert set(git("ls-files", "--others", "--exclude-standard")) == generated


def links_lead_somewhere(file: Path) -> None:
    """Assert that each relative link names a file."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", file.read_text(encoding="utf-8")):
        assert (file.parent / target).exists(), target


def owns_what_decides(file: Path) -> None:
    """Assert that registry settings and CI have an owner, and that all owned files are there."""
    owned = dict(line.split(" ") for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    assert {"/registries.yaml", "/requirements.txt", "/CODEOWNERS"} <= set(owned)
    assert all((file.parent / path.removeprefix("/")).exists() for path in owned)
    assert (file.parent / ".github").exists() == ("/.github/" in owned)
    assert (file.parent / ".gitlab-ci.yml").exists() == ("/.gitlab-ci.yml" in owned)


YAML = linters.yaml_is_tidy
WORKFLOW = (YAML, linters.fits("vendor.github-workflows"), linters.is_secure, linters.shell_is_sound)
CHECKS: dict[str, tuple[linters.Check, ...]] = {
    "mirrors.d/example.yaml": (YAML, fits_its_modeline, has_the_layout),
    "registries.yaml": (YAML, fits_its_modeline),
    "requirements.txt": (has_one_requirement,),
    ".pre-commit-config.yaml": (YAML, is_a_pre_commit_config, linters.is_secure),
    ".gitignore": (ignores_what_runs_leave,),
    "CODEOWNERS": (owns_what_decides,),
    "README.md": (linters.markdown_is_tidy, links_lead_somewhere),
    MIRROR: WORKFLOW,
    COMMENT: WORKFLOW,
    LOCK: WORKFLOW,
    "renovate.json": (linters.fits("vendor.renovate"),),
    ".gitlab-ci.yml": (YAML, linters.fits("vendor.gitlab-ci", "--data-transform", "gitlab-ci"), linters.shell_is_sound),
    "schema/mirror.schema.json": (linters.is_a_schema,),
    "schema/registries.schema.json": (linters.is_a_schema,),
}


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def mirror_repository(workplace: Workplace) -> Path:
    """Make a mirror repository with every generated file."""
    done = workplace.run("init", "new")
    assert done.code == 0, done.stderr
    return workplace.folder / "new"


def test_each_generated_file_is_covered_by_a_check(mirror_repository):
    """The generated files and the checked files are the same."""
    assert files_in(mirror_repository) == set(CHECKS)


@pytest.mark.parametrize("path", CHECKS)
def test_each_generated_file_passes_its_linters(path, mirror_repository):
    """Linters and schemas of its ecosystem accept it."""
    for check in CHECKS[path]:
        check(mirror_repository / path)


@pytest.mark.parametrize("ci", ["github", "gitlab", "none"])
def test_one_ci_system_can_be_chosen(ci, workplace):
    """Only its files are written, and the README fits."""
    done = workplace.run("init", "new", "--ci", ci)

    assert done.code == 0, done.stderr
    others = {"github": {".gitlab-ci.yml"}, "gitlab": {MIRROR, COMMENT, LOCK}, "none": {".gitlab-ci.yml", MIRROR, COMMENT, LOCK, "renovate.json"}}
    assert files_in(workplace.folder / "new") == set(CHECKS) - others[ci]
    for check in CHECKS["README.md"]:
        check(workplace.folder / "new" / "README.md")


@pytest.mark.parametrize(
    ("destination", "credentials_of", "allowed"),
    [
        ("registry.internal:5000/team/mirror", "registry.internal:5000", "registry.internal:5000/team/mirror"),
        ("docker.io/example", "docker.io", "docker.io/example"),
    ],
    ids=["a port and a deep namespace", "a namespace of Docker Hub"],
)
def test_destination_option_fills_in_the_example(destination, credentials_of, allowed, workplace):
    """The example and the registry settings are valid."""
    assert workplace.run("init", "--destination", destination).code == 0

    shown = workplace.run("validate", "--show")
    registry_settings = yaml.safe_load((workplace.folder / "registries.yaml").read_text(encoding="utf-8"))
    assert shown.code == 0, shown.stderr
    assert yaml.safe_load((workplace.folder / "mirrors.d/example.yaml").read_text(encoding="utf-8"))["mirrors"][0]["destinations"] == [destination]
    assert list(registry_settings["registries"]) == [credentials_of]
    assert registry_settings["allow"]["destinations"] == [allowed]


@pytest.mark.parametrize(
    ("source", "allowed", "plain_http"),
    [
        ("localhost:5001/library/hello", "localhost:5001/library", {"localhost:5001", "localhost:5000"}),
        ("localhost:5000/team/app", "localhost:5000/team", {"localhost:5000"}),
        ("docker.io/alpine", "docker.io/library", {"localhost:5000"}),
        ("registry.k8s.io/pause", "registry.k8s.io", {"localhost:5000"}),
    ],
    ids=["a registry on this machine", "the destination's registry", "an official image", "the default"],
)
def test_source_option_fills_in_the_example(source, allowed, plain_http, workplace):
    """The image is allowed, and a registry on this machine speaks http."""
    assert workplace.run("init", "--source", source, "--destination", "localhost:5000/mirror").code == 0

    validated = workplace.run("validate")
    settings = yaml.safe_load((workplace.folder / "registries.yaml").read_text(encoding="utf-8"))
    assert validated.code == 0, validated.stderr
    assert settings["allow"]["sources"] == [allowed]
    assert {registry for registry, one in settings["registries"].items() if one.get("tls") is False} == plain_http
    has_the_layout(workplace.folder / "mirrors.d/example.yaml")


def test_source_that_names_no_repository_writes_nothing(workplace):
    """The error shows how to write it."""
    done = workplace.run("init", "--source", "alpine:3.22")

    assert done.code == 3
    assert "write docker.io/library/alpine, and put 3.22 under tags.names" in done.stderr
    assert not (workplace.folder / "mirrors.d").exists()


@pytest.mark.parametrize(
    ("registry", "is_plain"),
    [
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("r.localhost", True),
        ("10.0.0.1", False),
        ("r.io:5000", False),
    ],
)
def test_registry_on_this_machine_gets_plain_http(registry, is_plain, workplace):
    """Others are verified https."""
    assert workplace.run("init", "--destination", f"{registry}/mirror").code == 0

    settings = yaml.safe_load((workplace.folder / "registries.yaml").read_text(encoding="utf-8"))["registries"][registry]
    assert settings.get("tls") is (False if is_plain else None)
    assert workplace.run("validate").code == 0


@pytest.mark.parametrize("destination", ["registry.example.com", "mirror/images", "https://registry.example.com/m", 'a.io/x"]}'])
def test_invalid_destination_is_an_error(destination, workplace):
    """Nothing is written."""
    done = workplace.run("init", "new", "--destination", destination)

    assert done.code == 3
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert files_in(workplace.folder) == set()


def test_output_lists_files_and_next_commands(workplace):
    """The commands work."""
    done = workplace.run("init", "new")

    assert set(re.findall(r"^  (\S+)$", done.stdout.partition("Next:")[0], re.MULTILINE)) == set(CHECKS)
    assert "  cd new\n  imgsync validate " in done.stdout.partition("Next:")[2]
    checked = workplace.run("validate", cwd=workplace.folder / "new")
    assert checked.stdout == "1 file, 1 mirror, 1 destination: all good.\n"


def test_what_to_fill_in_is_said_first(workplace):
    """PyPI does not have imgsync yet: closing text, README and the first lines of the files say so."""
    done = workplace.run("init", "new")

    folder = workplace.folder / "new"
    assert "  fill in requirements.txt and .pre-commit-config.yaml " in done.stdout
    assert (folder / "requirements.txt").read_text().startswith("# Fill this in, because imgsync is not on PyPI yet. ")
    assert (folder / ".pre-commit-config.yaml").read_text().startswith("# Fill in additional_dependencies, because imgsync is not on PyPI yet: ")
    assert "\n## Before CI can run\n" in (folder / "README.md").read_text()


def test_existing_file_stops_everything(workplace):
    """Even a dangling link; the error names it."""
    (workplace.folder / "README.md").symlink_to("nowhere")

    done = workplace.run("init")

    assert done.code == 3
    assert "already has README.md; nothing was written" in done.stderr
    assert "--missing" in done.stderr
    assert [path.name for path in workplace.folder.iterdir()] == ["README.md"]
    assert not (workplace.folder / "nowhere").exists()


def test_missing_writes_only_what_is_absent(workplace):
    """`--missing` keeps existing files, says so, and can be repeated."""
    (workplace.folder / "README.md").write_text("ours\n")

    first = workplace.run("init", "--missing")
    (workplace.folder / "requirements.txt").unlink()
    second = workplace.run("init", "--missing")

    assert first.code == second.code == 0
    assert "Already there, unchanged: README.md" in first.stdout
    assert "Created in .:\n  requirements.txt\nAlready there, unchanged: " in second.stdout
    assert (workplace.folder / "README.md").read_text() == "ours\n"
    assert files_in(workplace.folder) == set(CHECKS)


def test_impossible_folder_is_an_error(workplace):
    """A file in its place gives no traceback."""
    (workplace.folder / "new").write_text("")

    done = workplace.run("init", "new/below")

    assert done.code == 3
    assert "cannot be written: Not a directory" in done.stderr


@pytest.mark.row("GIT-01")
def test_plan_job_has_no_credentials_that_push(mirror_repository):
    """A pull request's job has pull secrets only and no write permission."""
    workflow = yaml.load((mirror_repository / MIRROR).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)

    assert set(re.findall(r"secrets\.(\w+)", json.dumps(workflow["jobs"]["plan"]))) == {"REGISTRY_PULL_USERNAME", "REGISTRY_PULL_PASSWORD"}
    assert workflow["permissions"] == {}
    assert workflow["jobs"]["plan"]["permissions"] == {"contents": "read"}
    assert set(workflow["on"]) == {"pull_request", "push", "schedule", "workflow_dispatch"}
    comment = yaml.load((mirror_repository / COMMENT).read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    assert set(comment["on"]) == {"workflow_run"}
    assert comment["on"]["workflow_run"]["workflows"] == [workflow["name"]]
    assert [step for job in comment["jobs"].values() for step in job["steps"] if "uses" in step] == []


def test_jobs_outlive_their_run_timeout(mirror_repository):
    """imgsync stops before CI would end the job."""
    jobs = yaml.safe_load((mirror_repository / MIRROR).read_text(encoding="utf-8"))["jobs"]
    pipeline = yaml.safe_load((mirror_repository / ".gitlab-ci.yml").read_text(encoding="utf-8"))

    for job in ("apply", "verify"):
        scripts = ["".join(step.get("run", "") for step in jobs[job]["steps"]), "".join(pipeline[job]["script"])]
        timeouts = [jobs[job]["timeout-minutes"], 60 * int(pipeline[job]["timeout"].split()[0])]
        for script, timeout in zip(scripts, timeouts, strict=True):
            assert timeout > sum(map(int, re.findall(r"--run-timeout (\d+)m", script)))


@pytest.mark.row("GIT-09")
def test_two_applies_never_run_at_once(mirror_repository):
    """Both CI systems queue writing jobs and never cancel them."""
    jobs = yaml.safe_load((mirror_repository / MIRROR).read_text(encoding="utf-8"))["jobs"]
    pipeline = yaml.safe_load((mirror_repository / ".gitlab-ci.yml").read_text(encoding="utf-8"))

    assert jobs["apply"]["concurrency"] == jobs["verify"]["concurrency"] == {"group": "imgsync", "cancel-in-progress": False}
    for job in ("apply", "verify"):
        assert (pipeline[job]["resource_group"], pipeline[job]["interruptible"]) == ("imgsync", False)
    assert {job["stage"] for job in pipeline.values() if "stage" in job} == set(pipeline["stages"])


def test_invalid_declaration_becomes_the_comment(mirror_repository, tmp_path):
    """The comment and the summary show the errors, and the job fails."""
    (mirror_repository / "mirrors.d/example.yaml").write_text("version: 1\nmirrors: [{name: a, sauce: r.io/x}]\n")
    programs = program(tmp_path / "programs", "imgsync", f'#!/bin/sh\nexec "{sys.executable}" -m imgsync "$@"\n')

    done = script_of(mirror_repository / MIRROR, "plan/Plan").run(mirror_repository, env={"GITHUB_ACTIONS": "true"}, programs=programs)

    text = (mirror_repository / "plan.md").read_text(encoding="utf-8")
    assert done.returncode == 3
    assert "::error file=mirrors.d/example.yaml,line=2" in done.stderr
    assert text.startswith("<!-- imgsync-plan -->\n### imgsync cannot plan this\n\n    mirrors.d/example.yaml:2:")
    assert "::error" not in text
    assert (mirror_repository / "runner-temp/summary").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("code", "becomes"), [(0, 0), (1, 1), (3, 3), (75, 0)])
def test_exit_75_does_not_fail_the_apply_job(code, becomes, mirror_repository, tmp_path):
    """It is a notice; other exit codes are the job's."""
    programs = program(tmp_path / "programs", "imgsync", f'#!/bin/sh\necho "$@" "$IMGSYNC_REQUEUED"\nexit {code}\n')

    done = script_of(mirror_repository / MIRROR, "apply/Apply").run(mirror_repository, env={"IMGSYNC_REQUEUED": "2"}, programs=programs)

    assert done.returncode == becomes
    assert done.stdout.startswith("apply --run-timeout 48m --requeue github --report report.html 2\n")
    assert ("::notice" in done.stdout) == (code == 75)
    assert yaml.safe_load((mirror_repository / ".gitlab-ci.yml").read_text(encoding="utf-8"))["apply"]["allow_failure"] == {"exit_codes": [75]}


@pytest.mark.parametrize(("code", "becomes", "applies"), [(0, 0, False), (1, 0, True), (3, 3, False), (75, 75, False)])
def test_verify_job_repairs_what_it_found(code, becomes, applies, mirror_repository, tmp_path):
    """After exit 1 of verify an apply follows, and the state that both changed is kept."""
    programs = program(tmp_path / "programs", "imgsync", f'#!/bin/sh\necho "$1"\n[ "$1" = verify ] && exit {code}\nexit 0\n')
    folder, pipeline = mirror_repository, mirror_repository / ".gitlab-ci.yml"

    on_gitlab = script_of(pipeline, "verify").run(folder, env={}, programs=programs)
    on_github = script_of(folder / MIRROR, "verify/Verify what the destinations serve").run(folder, env={}, programs=programs)

    assert (on_gitlab.returncode, on_github.returncode) == (becomes, becomes)
    assert ("apply" in on_gitlab.stdout.split()) == applies
    assert ((folder / "runner-temp/output").read_text() if applies else "") == ("differs=true\n" if applies else "")
    steps = yaml.safe_load((folder / MIRROR).read_text(encoding="utf-8"))["jobs"]["verify"]["steps"]
    assert [step["name"] for step in steps[-3:]] == ["Verify what the destinations serve", "Repair", "Save the state"]
    assert steps[-2]["if"] == "steps.verify.outputs.differs == 'true'"
    assert "imgsync apply" in steps[-2]["run"]
    assert "policy" not in yaml.safe_load(pipeline.read_text(encoding="utf-8"))["verify"]["cache"]


@pytest.mark.row("GIT-01")
def test_gitlab_plans_without_the_credentials_that_push(mirror_repository, tmp_path):
    """The script replaces the project's login by the one that may only pull."""
    programs = program(
        tmp_path / "programs",
        "imgsync",
        '#!/bin/sh\necho "$1 $REGISTRY_USERNAME:$REGISTRY_PASSWORD" >&2\n[ "$1" = show ] || { echo {} > plan.json; exit 1; }\n',
    )
    push = {"REGISTRY_USERNAME": "pusher", "REGISTRY_PASSWORD": "x", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "a" * 40}
    script = script_of(mirror_repository / ".gitlab-ci.yml", "plan")

    as_nobody = script.run(mirror_repository, env=push, programs=programs)
    as_reader = script.run(mirror_repository, env=push | {"REGISTRY_PULL_USERNAME": "reader", "REGISTRY_PULL_PASSWORD": "y"}, programs=programs)

    assert (as_nobody.returncode, as_reader.returncode) == (1, 1)
    assert as_nobody.stderr.splitlines() == ["plan :", "show :", "show :"]
    assert as_reader.stderr.splitlines() == ["plan reader:y", "show reader:y", "show reader:y"]


@pytest.mark.row("DISC-07")
@pytest.mark.parametrize(("images", "code"), [("registry.k8s.io/pause:3.10", 2), ("registry.k8s.io/pause:3.8", 2), ("", 0)])
def test_pull_request_fails_if_workloads_are_not_covered(images, code, mirror_repository, tmp_path):
    """In a job without credentials that push; what the filters do not decide fails too. Without the folder nothing runs."""
    programs = program(tmp_path / "programs", "imgsync", f'#!/bin/sh\nexec "{sys.executable}" -m imgsync "$@"\n')
    (mirror_repository / "workloads").mkdir()
    (mirror_repository / "workloads/web.yaml").write_text(f"kind: Pod\nspec: {{containers: [{{image: '{images}'}}]}}\n" if images else "kind: Pod\n")
    steps = yaml.safe_load((mirror_repository / MIRROR).read_text(encoding="utf-8"))["jobs"]["plan"]["steps"]
    pipeline = yaml.safe_load((mirror_repository / ".gitlab-ci.yml").read_text(encoding="utf-8"))

    on_github = script_of(mirror_repository / MIRROR, "plan/Check that the mirrors cover the workloads").run(mirror_repository, env={}, programs=programs)
    on_gitlab = script_of(mirror_repository / ".gitlab-ci.yml", "coverage").run(mirror_repository, env={}, programs=programs)

    assert (on_github.returncode, on_gitlab.returncode) == (code, code), on_github.stderr
    assert on_github.stdout == on_gitlab.stdout
    assert images in on_github.stdout
    (step,) = [step for step in steps if step["name"] == "Check that the mirrors cover the workloads"]
    assert (set(step), step["if"]) == ({"name", "if", "run"}, "always() && hashFiles('workloads/**') != ''")
    assert pipeline["coverage"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"', "exists": ["workloads/**/*"]}]


def jobs_of(workplace: Workplace) -> dict[str, dict[str, Any]]:
    """Return the workflows that `imgsync init` makes, by file name."""
    assert workplace.run("init", "new").code == 0
    files = (workplace.folder / "new/.github/workflows").glob("*.yml")
    return {file.name: yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader) for file in files}


@pytest.mark.row("GIT-01", "GIT-07")
def test_pull_request_jobs_can_write_nothing(workplace):
    """Neither with the repository's rights, nor by a push secret, nor into main's cache."""
    workflows = jobs_of(workplace)

    assert set(workflows) == {"mirror.yml", "mirror-comment.yml", "mirror-lock.yml"}
    for workflow in workflows.values():
        assert workflow["permissions"] == {}
        assert "pull_request_target" not in workflow["on"]
        for job in workflow["jobs"].values():
            steps = json.dumps(job["steps"])
            from_main = "refs/heads/main" in job.get("if", "") or "github.event.schedule ==" in job.get("if", "")
            assert from_main or "pull_request" in job["if"]
            if not from_main:
                assert "secrets.REGISTRY_USERNAME" not in steps
                assert "environment" not in job
                assert "cache/save" not in steps
                assert "actions/cache@" not in steps, "it saves as well"
            writes = {right for right, value in job["permissions"].items() if value == "write"}
            assert writes == {"Apply": {"actions"}, "Comment": {"pull-requests"}, "Update the lock": {"contents", "pull-requests"}}.get(job["name"], set())
            assert '"persist-credentials": "false"' in steps or "actions/checkout" not in steps
    savers = [job["name"] for job in workflows["mirror.yml"]["jobs"].values() if "cache/save" in json.dumps(job["steps"])]
    assert savers == ["Apply", "Verify and repair"]


GH = """#!/bin/sh
echo "$@" >> "$HOME/gh.log"
case "$2" in list) cat "$HOME/number" 2>/dev/null || true;; esac
"""


def git(folder: Path, *arguments: str) -> str:
    """Run git in *folder*; return what it prints."""
    who = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), **who}
    return subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def pushed(mirror_repository, tmp_path) -> Path:
    """Commit the repository with a lock, and give it an origin; return the origin."""
    origin = tmp_path / "origin.git"
    git(tmp_path, "init", "--quiet", "--bare", str(origin))
    git(origin, "config", "receive.advertisePushOptions", "true")
    (mirror_repository / "mirrors.lock").mkdir()
    (mirror_repository / "mirrors.lock/example.yaml").write_text("old\n")
    for arguments in (["init", "--quiet", "-b", "main"], ["add", "."], ["commit", "--quiet", "-m", "x"], ["remote", "add", "origin", str(origin)]):
        git(mirror_repository, *arguments)
    return origin


@pytest.mark.parametrize("number", ["", "7"], ids=["first time", "again"])
@pytest.mark.parametrize(("change", "code"), [("true", 0), ("echo new > mirrors.lock/example.yaml", 0), ("echo new > mirrors.lock/example.yaml", 1)])
def test_github_proposes_a_changed_lock(number, change, code, mirror_repository, pushed, tmp_path):
    """On its own branch, with the changes as the text of one pull request; what was not locked fails the job afterwards."""
    programs = program(tmp_path / "programs", "imgsync", f'#!/bin/sh\necho "$@" > "$HOME/args"\n{change}\necho changes\nexit {code}\n')
    program(programs, "gh", GH)
    (mirror_repository / "home").mkdir()
    (mirror_repository / "home/number").write_text(number)
    file = mirror_repository / LOCK

    assert script_of(file, "update/Update the lock").run(mirror_repository, env={}, programs=programs).returncode == 0
    output = (mirror_repository / "runner-temp/output").read_text().splitlines()
    assert output == [*(["changed=true"] if change != "true" else []), f"code={code}"]
    assert (mirror_repository / "home/args").read_text().startswith("lock --update --run-timeout 48m --output markdown")
    if change == "true":
        return
    done = script_of(file, "update/Propose the lock").run(mirror_repository, env={}, programs=programs)

    assert done.returncode == 0, done.stderr
    assert git(pushed, "show", "imgsync-lock:mirrors.lock/example.yaml") == "new"
    assert git(pushed, "diff", "--name-only", "imgsync-lock~", "imgsync-lock") == "mirrors.lock/example.yaml"
    calls = (mirror_repository / "home/gh.log").read_text().splitlines()
    assert [call.split()[:2] for call in calls] == [["auth", "setup-git"], ["pr", "list"], ["pr", "edit" if number else "create"]]
    assert (mirror_repository / "runner-temp/lock.md").read_text() == "changes\n"
    last = script_of(file, "update/Fail if something was not locked")
    assert last.run(mirror_repository, env={"CODE": str(code)}, programs=programs).returncode == code


@pytest.mark.parametrize(("change", "code"), [("true", 0), ("echo new > mirrors.lock/example.yaml", 1)])
def test_gitlab_proposes_a_changed_lock(change, code, mirror_repository, pushed, tmp_path):
    """By the options of a push, which make the merge request; the token is not an argument."""
    programs = program(tmp_path / "programs", "imgsync", f"#!/bin/sh\n{change}\necho changes\nexit {code}\n")
    hook = pushed / "hooks/post-receive"
    hook.write_text("#!/bin/sh\nenv | grep ^GIT_PUSH_OPTION_ | sort > options\n")
    hook.chmod(0o755)
    env = {"CI_DEFAULT_BRANCH": "main", "CI_SERVER_HOST": "gitlab.example.com", "CI_PROJECT_URL": str(pushed).removesuffix(".git"), "LOCK_TOKEN": "none"}

    done = script_of(mirror_repository / ".gitlab-ci.yml", "lock").run(mirror_repository, env=env, programs=programs)

    assert done.returncode == code, done.stderr
    branches = git(pushed, "branch", "--list", "imgsync-lock")
    assert bool(branches) == (change != "true")
    if branches:
        assert git(pushed, "show", "imgsync-lock:mirrors.lock/example.yaml") == "new"
        assert "merge_request.create" in (pushed / "options").read_text()
