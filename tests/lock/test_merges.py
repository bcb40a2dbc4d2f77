"""Locks on two branches, merged by git: a conflict or an error, never a wrong digest."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from imgsync.errors import ConfigError
from tests.support.effort import effort
from tests.support.locks import DECLARATION, digest, lock_text, read_images

REPOSITORIES = ("docker.io/library/alpine", "docker.io/library/nginx", "registry.k8s.io/pause")


def git(folder: Path, *arguments: str) -> int:
    """Run git in *folder* without settings of this machine; return its exit code."""
    own = {f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **own}
    return subprocess.run(["git", *arguments], cwd=folder, env=environ, capture_output=True, check=False).returncode


def change(images: dict[str, str], dice: random.Random) -> dict[str, str]:
    """Return *images* after a few updates, additions and removals."""
    changed = dict(images)
    for _ in range(dice.randint(1, 4)):
        name = dice.choice(sorted(changed)) if changed else ""
        match dice.choice(["update", "add", "drop"]):
            case "update" if name:
                changed[name] = digest(dice.randrange(1000))
            case "drop" if name:
                del changed[name]
            case _:
                changed[f"{dice.choice(REPOSITORIES)}:{dice.randint(1, 12)}.{dice.randint(0, 3)}"] = digest(dice.randrange(1000))
    return changed


def is_merged_right(merged: dict[str, str], base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]) -> bool:
    """Return whether each image has what the branch that changed it says."""
    for image in base.keys() | ours.keys() | theirs.keys():
        before, here, there = base.get(image), ours.get(image), theirs.get(image)
        agreed = {here} if there == before else {there} if here == before else {here} & {there}
        if merged.get(image) not in agreed:
            return False
    return not merged.keys() - ours.keys() - theirs.keys()


@pytest.mark.nightly
@pytest.mark.row("LOCK-03")
@pytest.mark.parametrize("seed", range(effort(8, 100)))
def test_merge_is_right_or_refused(seed, tmp_path):
    """Of two branches that change the same lock at random, also its declaration."""
    dice = random.Random(seed)
    base = {f"{dice.choice(REPOSITORIES)}:{number}.0": digest(number) for number in range(1, dice.randint(3, 12))}
    ours, theirs = change(base, dice), change(base, dice)
    declarations = [DECLARATION, *(dice.choice([DECLARATION, digest("x"), digest("y")]) for _ in range(2))]
    file = tmp_path / "a.yaml"

    def commit(images: dict[str, str], declaration: str) -> None:
        file.write_text(lock_text(images, declaration=declaration))
        git(tmp_path, "add", "a.yaml")
        git(tmp_path, "commit", "--allow-empty", "-qm", "x")

    git(tmp_path, "init", "-qb", "main")
    commit(base, declarations[0])
    git(tmp_path, "checkout", "-qb", "theirs")
    commit(theirs, declarations[1])
    git(tmp_path, "checkout", "-q", "main")
    commit(ours, declarations[2])
    has_conflict = git(tmp_path, "merge", "-q", "--no-edit", "theirs") != 0

    try:
        merged = read_images(file)
    except ConfigError:
        return
    assert not has_conflict
    assert is_merged_right(merged, base, ours, theirs)
