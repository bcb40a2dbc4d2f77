"""`plan --changed-since`: plans only mirrors that a pull request changes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.run_imgsync import Result, Workplace


class Repository:
    """A git repository in the workplace, without the developer's settings."""

    def __init__(self, workplace: Workplace) -> None:
        self._workplace = workplace
        self.folder = workplace.folder
        self.git("init", "--quiet", "--initial-branch=main", ".")

    def git(self, *arguments: str | Path, check: bool = True, cwd: Path | None = None) -> str:
        settings = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")
        environment = self._workplace.environment({"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"})
        done = subprocess.run(
            ["git", *settings, *map(str, arguments)], cwd=cwd or self.folder, env=environment, capture_output=True, text=True, check=False, timeout=30
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def declare(self, *names: str, file: str = "mirrors.d/a.yaml", **settings: object) -> None:
        """Write *file* with suspended mirrors, which cost no request."""
        entries = [{"name": name, "suspend": True, "source": f"s.example/{name}", "destinations": ["r.example/m"], **settings} for name in names]
        self.write(file, json.dumps({"version": 1, "mirrors": entries}))

    def write(self, file: str, text: str) -> None:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> str:
        """Commit everything; return the commit."""
        if (self.folder / "mirrors.d").exists():
            self.git("add", "--all", "mirrors.d")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(workplace) -> Repository:
    return Repository(workplace)


@pytest.fixture
def planned(imgsync) -> Callable[..., Sequence[str]]:
    """Plan what changed since a commit; return the mirrors' names."""

    def plan(commit: str, *paths: str | Path, **options: Any) -> list[str]:
        ran = imgsync("plan", *paths, "--changed-since", commit, "-o", "json", **options)
        assert ran.code == 0, ran.stderr
        assert not [line for line in ran.logs if line["level"] == "warning"]
        return [one["mirror"] for one in ran.json["mirrors"]]

    return plan


def refused(ran: Result) -> str:
    """Return the one error of a run that did nothing."""
    assert (ran.code, ran.stdout) == (3, ""), ran.stderr
    assert ran.stderr.count("error: ") == ran.stderr.count("hint: ") == 1, ran.stderr
    return ran.stderr


def test_changed_mirrors_are_planned(repository, planned, imgsync):
    """New and changed mirrors, not moved or reformatted ones."""
    repository.declare("same", "changed", "deleted")
    repository.declare("moved", file="mirrors.d/b.yaml")
    repository.commit()
    repository.declare("changed", description="another")
    (repository.folder / "mirrors.d/b.yaml").unlink()
    repository.write(
        "mirrors.d/c.yml",
        "# A comment\nversion: 1\nmirrors:\n"
        "  - {name: new, suspend: true, source: s.example/new, destinations: [r.example/m]}\n"
        "  - {destinations: [r.example/m], source: 's.example/moved', suspend: true, name: moved}\n"
        "  - name: same\n    suspend: true\n    source: {registry: s.example, repositories: [same]}\n    destinations: [{registry: r.example, namespace: m}]\n",
    )

    assert planned("HEAD") == ["changed", "new"]
    document = imgsync("plan", "--changed-since", "HEAD", "-o", "json").json
    assert (list(document["declarations"]), document["whole"]) == (["changed", "new"], False)


def test_defaults_change_every_mirror_that_has_them(repository, planned):
    """Except mirrors that override the setting."""
    repository.write("mirrors.d/0.yaml", '{"version": 1, "defaults": {"immutable": ["v*"]}}')
    repository.declare("by-default")
    repository.declare("by-itself", file="mirrors.d/b.yaml", immutable=["x*"])
    repository.commit()
    repository.write("mirrors.d/0.yaml", '{"version": 1, "defaults": {"immutable": ["w*"]}}')

    assert planned("HEAD") == ["by-default"]


def test_no_change_gives_an_empty_plan(repository, planned, lab):
    """Exit 0, and it can be applied."""
    repository.declare("a")
    commit = repository.commit()

    assert planned(commit) == []
    (lab.folder / "plan.json").write_text(lab.run("plan", "--changed-since", commit, "-o", "json").stdout)
    assert lab.run("apply", "--plan", "plan.json").code == 0


def test_any_name_of_a_commit_works(repository, planned):
    """Branch, tag, commit, parent; without the folder everything is new."""
    empty = repository.commit()
    repository.declare("a")
    first = repository.commit()
    repository.git("tag", "--annotate", "--message=x", "v1")
    repository.declare("a", "b")
    repository.commit()

    assert planned("HEAD") == []
    assert [planned(ref) for ref in ("HEAD^1", first, first[:12], "v1", "main~1")] == [["b"]] * 5
    assert planned(empty) == ["a", "b"]


def test_any_form_of_a_path_works(repository, planned):
    """From a subfolder, absolute, with dots, through a link, a single file, twice."""
    repository.declare("a")
    repository.declare("nested", file="mirrors.d/deeper/x.yaml")
    repository.declare("hidden", file="mirrors.d/.x.yaml")
    repository.declare("other", file="top.yaml")
    repository.git("add", "top.yaml")
    repository.commit()
    repository.declare("a", "b")
    (repository.folder / "link").symlink_to("mirrors.d")
    below = repository.folder / "some" / "folder"
    below.mkdir(parents=True)
    registries = repository.folder / "some" / "registries.yaml"
    registries.write_text("version: 1\nregistries: {}\n")

    whole = repository.folder / "mirrors.d"
    for path in ("mirrors.d", "mirrors.d/", "./mirrors.d", "some/../mirrors.d", whole, "link", "mirrors.d/a.yaml"):
        assert planned("HEAD", path) == ["b"], path
    assert planned("HEAD", "../../mirrors.d", cwd=below) == ["b"]
    assert planned("HEAD", "mirrors.d", "mirrors.d/a.yaml", ".") == ["b"]
    assert planned("HEAD", ".") == []


def test_invalid_old_configuration_changes_every_mirror(repository, imgsync):
    """A pull request that repairs it can be planned; the log says why."""
    repository.write("mirrors.d/a.yaml", "version: 1\nmirrors: nonsense\n")
    repository.commit()
    repository.declare("a", "b")

    ran = imgsync("plan", "--changed-since", "HEAD", "-o", "json")

    assert ran.code == 0
    assert [one["mirror"] for one in ran.json["mirrors"]] == ["a", "b"]
    (line,) = ran.events("declarations.unread")
    assert line["level"] == "warning"
    assert "the declarations at HEAD are invalid, so every mirror counts as changed: mirrors.d/a.yaml:2:10: mirrors" in line["reason"]


@pytest.mark.parametrize("ref", ["nonsense", "a" * 40, "-x", "--output=x", "", "HEAD..HEAD", "^HEAD", "HEAD:mirrors.d", ":mirrors.d/a.yaml", "HEAD@{9}"])
def test_missing_commit_is_an_error(ref, repository, imgsync):
    """Exit 3 with a remedy; it is never an option of git."""
    repository.declare("a")
    repository.commit()

    said = refused(imgsync("plan", "--changed-since", ref))

    assert f"--changed-since {ref}: no such commit" in said
    assert "hint: fetch it first" in said
    assert not (repository.folder / "x").exists()


def test_shallow_clone_is_an_error_with_a_remedy(repository, lab):
    """What CI did not fetch is missing."""
    repository.declare("a")
    first = repository.commit()
    repository.declare("a", "b")
    repository.commit()
    clone = lab.folder / "clone"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", clone)

    for ref in (first, "HEAD^1"):
        assert "hint: fetch it first" in refused(lab.run("plan", "--changed-since", ref, cwd=clone))


def test_folder_outside_a_repository_is_an_error(lab):
    """There is nothing to compare with."""
    lab.workplace.mirror("a", source="s.example/a", destinations=["r.example/m"], suspend=True)

    # Above the workplace there may be a repository of the developer's own.
    said = refused(lab.run("plan", "--changed-since", "HEAD", env={"GIT_CEILING_DIRECTORIES": str(lab.folder.parent)}))

    assert "git failed: fatal: not a git repository" in said


def test_path_outside_the_repository_is_an_error(repository, imgsync, tmp_path_factory):
    """Also through a link."""
    repository.commit()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    repository.declare("a", file=str(elsewhere / "a.yaml"))
    (repository.folder / "link").symlink_to(elsewhere)

    for path in (elsewhere, "link"):
        assert f"{path} is outside the git repository" in refused(imgsync("plan", path, "--changed-since", "HEAD"))


def test_missing_git_is_an_error(repository, lab):
    """Neither a traceback nor a plan of everything."""
    repository.declare("a")
    repository.commit()
    (lab.folder / "empty").mkdir()

    said = refused(lab.run("plan", "--changed-since", "HEAD", env={"PATH": str(lab.folder / "empty")}))

    assert "cannot run git" in said


@pytest.mark.row("GIT-02")
def test_repository_configuration_runs_nothing(repository, lab):
    """Hooks, filters, a file-system monitor, a pager, or a transport."""
    repository.declare("a")
    repository.write("mirrors.d/.gitattributes", "* filter=evil diff=evil\n")
    repository.commit()
    blob = repository.git("rev-parse", "HEAD:mirrors.d/a.yaml")
    evil = lab.folder / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {lab.folder}/marker\n")
    evil.chmod(evil.stat().st_mode | stat.S_IXUSR)
    hooks = lab.folder / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "pre-auto-gc", "fsmonitor-watchman"):
        shutil.copy(evil, hooks / hook)
    for name in (
        "core.fsmonitor",
        "core.pager",
        "pager.ls-tree",
        "pager.rev-parse",
        "core.sshCommand",
        "core.gitProxy",
        "core.editor",
        "core.alternateRefsCommand",
        "credential.helper",
        "filter.evil.smudge",
        "filter.evil.clean",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.external",
        "gpg.program",
        "alias.ls-tree",
        "alias.cat-file",
        "remote.origin.uploadpack",
    ):
        repository.git("config", name, f"!{evil}" if name.startswith("alias") else evil)
    repository.git("config", "core.hooksPath", hooks)
    (lab.folder / "marker").unlink(missing_ok=True)

    assert lab.run("plan", "--changed-since", "HEAD").code == 0
    assert not (lab.folder / "marker").exists()

    # A partial clone that lacks the blob.
    repository.git("config", "core.repositoryFormatVersion", "1")
    repository.git("config", "extensions.partialClone", "origin")
    repository.git("config", "remote.origin.promisor", "true")
    (repository.folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    for url, protocol in ((f"ext::{evil}", "ext"), (f"file://{repository.folder}", "file"), ("ssh://host.example/x", "ssh")):
        repository.git("config", "remote.origin.url", url)
        repository.git("config", f"protocol.{protocol}.allow", "always")
        (lab.folder / "marker").unlink(missing_ok=True)

        assert "hint: fetch it first" in refused(lab.run("plan", "--changed-since", "HEAD"))
        assert not (lab.folder / "marker").exists(), url
