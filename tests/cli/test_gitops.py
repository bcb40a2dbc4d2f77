"""The GitOps loop in a real git repository, each job on a clean clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.canary import run_watched
from tests.support.images import image, request
from tests.support.lab import Lab
from tests.support.workflow_scripts import program, script_of

_GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false")


@dataclass(frozen=True)
class Origin:
    """The repository that jobs clone, and its registries."""

    folder: Path
    programs: Path
    state: str

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        done = subprocess.run([*_GIT, *arguments], cwd=folder or self.folder, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.strip()

    def declare(self, tags: str, settings: str, *, branch: str) -> None:
        """Commit a declaration to *branch*, made from main if it is new."""
        self.git("checkout", "--quiet", "-B", branch)
        file = self.folder / "mirrors.d/example.yaml"
        head, _, _ = file.read_text(encoding="utf-8").partition("mirrors:")
        mirror = json.loads((self.folder.parent / "mirror.json").read_text(encoding="utf-8"))
        file.write_text(f"{head}mirrors:\n  - {json.dumps(mirror)[:-1]}, tags: {tags}{settings}}}\n", encoding="utf-8")
        self.git("commit", "--quiet", "--all", "--message", f"declare {tags}")

    def merge(self, branch: str) -> None:
        self.git("checkout", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", f"Merge {branch}", branch)

    def job(self, name: str, *, ref: str = "main") -> tuple[subprocess.CompletedProcess[str], Path]:
        """Run one job's script on a new clone; return result and clone."""
        clone = self.folder.parent / f"clone-{len(list(self.folder.parent.glob('clone-*')))}"
        self.git("clone", "--quiet", "--branch", ref, str(self.folder), str(clone), folder=self.folder.parent)
        if ref != "main":
            # As GitHub checks a pull request out: its merge with what it goes to.
            self.git("checkout", "--quiet", "origin/main", folder=clone)
            self.git("merge", "--quiet", "--no-ff", "--message", "the merge", f"origin/{ref}", folder=clone)
        env = {"IMGSYNC_STATE": self.state, "GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_REPOSITORY": "a/b", "GITHUB_TOKEN": "token-SECRET"}
        env |= {"GITHUB_WORKFLOW_REF": "a/b/.github/workflows/mirror.yml@refs/heads/main", "GITHUB_REF_NAME": "main", "TZ": "UTC"}
        done = script_of(clone / ".github/workflows/mirror.yml", name).run(clone, env=env, programs=self.programs)
        assert "Traceback" not in done.stderr, done.stderr
        return done, clone


@pytest.fixture
def origin(lab: Lab) -> Origin:
    """Make a mirror repository with `imgsync init`."""
    assert lab.run("init", "origin").code == 0
    folder = lab.folder / "origin"
    programs = program(lab.folder / "programs", "imgsync", f'#!/bin/sh\nexec "{sys.executable}" -m imgsync "$@"\n')
    hosts = {host: {"tls": False} for host in (lab.source.host, lab.destination.host)}
    (folder / "registries.yaml").write_text(json.dumps({"version": 1, "registries": hosts}), encoding="utf-8")
    mirror = {
        "name": "app",
        "source": {"registry": lab.source.host, "repositories": [f"{lab.name}/app"]},
        "destinations": [f"{lab.destination.host}/m"],
        "retry": {"attempts": 2, "interval": "0s"},
    }
    (lab.folder / "mirror.json").write_text(json.dumps(mirror), encoding="utf-8")
    found = Origin(folder, programs, f"oci://{lab.destination.host}/{lab.name}/state:main")
    found.git("init", "--quiet")
    found.git("add", "--all")
    found.git("commit", "--quiet", "--message", "imgsync init")
    found.declare("{names: ['1.0']}", "", branch="main")
    return found


def test_gitops_loop_from_branch_to_prune(origin, lab):
    """Branch, plan, merge, apply, drift, verify, repair, prune; the state is in a registry."""
    images = {tag: lab.push("app", tag, image(number)) for number, tag in enumerate(("1.0", "2.0"), start=1)}
    first, _ = origin.job("apply/Apply")
    assert first.returncode == 0, first.stderr
    lab.assert_served("app", "1.0", images["1.0"])

    origin.declare("{names: ['1.0', '2.0']}", "", branch="more")
    lab.destination.forget()
    planned, clone = origin.job("plan/Plan", ref="more")
    assert planned.returncode == 0, planned.stderr
    comment = (clone / "plan.md").read_text(encoding="utf-8")
    assert "1 to create, 0 to update" in comment.splitlines()[1]
    assert f"{lab.name}/app:2.0" in comment
    assert (clone / "runner-temp/summary").read_text(encoding="utf-8") == comment
    assert {one.method for one in lab.destination.seen} <= {"GET", "HEAD"}, "a plan changes nothing"

    origin.merge("more")
    lab.destination.forget()
    merged, _ = origin.job("apply/Apply")
    assert merged.returncode == 0, merged.stderr
    lab.assert_served("app", "2.0", images["2.0"])
    assert lab.destination.requests("/app/manifests/1.0") == [], "what another machine pushed is remembered here"

    assert request(lab.destination_registry, "DELETE", f"/v2/m/{lab.name}/app/manifests/{images['1.0'].digest}")[0] == 202
    drifted, _ = origin.job("verify/Verify what the destinations serve")
    assert drifted.returncode == 0, "the next step repairs what it found"
    assert "  + app:1.0   missing" in drifted.stdout
    repaired, _ = origin.job("verify/Repair")
    assert repaired.returncode == 0, repaired.stderr
    lab.assert_served("app", "1.0", images["1.0"])
    sound, _ = origin.job("verify/Verify what the destinations serve")
    assert (sound.returncode, sound.stdout.startswith("No drift: 2 ok")) == (0, True), sound.stdout

    origin.declare("{names: ['2.0']}", ", prune: true", branch="fewer")
    planned, clone = origin.job("plan/Plan", ref="fewer")
    assert "1 to delete" in (clone / "plan.md").read_text(encoding="utf-8").splitlines()[1]
    origin.merge("fewer")
    pruned, _ = origin.job("apply/Apply")
    assert pruned.returncode == 0, pruned.stderr
    assert json.loads(request(lab.destination_registry, "GET", f"/v2/m/{lab.name}/app/tags/list")[2])["tags"] == ["2.0"]

    last, _ = origin.job("apply/Apply")
    assert last.returncode == 0
    assert last.stdout.startswith("No changes. 1 tag up to date (0 destination requests")


def test_reviewed_plan_is_what_is_applied(origin, lab):
    """A plan saved on one machine is applied on another, though the source moved."""
    reviewed = lab.push("app", "1.0", image(1))
    first, clone = origin.job("plan/Plan", ref="main")
    assert first.returncode == 0, first.stderr
    saved = run_watched(["imgsync", "plan", "--out", "reviewed.json"], **at(origin, clone))
    assert saved.returncode == 0, saved.stderr
    lab.push("app", "1.0", image(2))
    _, other = origin.job("plan/Plan", ref="main")
    shutil.copy(clone / "reviewed.json", other / "reviewed.json")

    ran = run_watched(["imgsync", "apply", "--plan", "reviewed.json", "-o", "json"], **at(origin, other))

    assert ran.returncode == 0, ran.stderr
    lab.assert_served("app", "1.0", reviewed)
    assert "moved since the plan was made" in json.loads(ran.stdout)["notes"][0]


def at(origin: Origin, clone: Path) -> dict[str, object]:
    """Return arguments to run a command in *clone* with the shared state."""
    env = {"PATH": f"{origin.programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(clone / "home"), "IMGSYNC_STATE": origin.state, "TZ": "UTC"}
    return {"cwd": clone, "env": env}
