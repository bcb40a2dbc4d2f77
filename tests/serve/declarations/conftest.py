"""Repositories, and what follows them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import pytest

from imgsync.config.git_settings import GitSettings
from imgsync.config.load import load_config
from imgsync.config.model import Config
from imgsync.lock.load_locks import Locks, load_locks
from imgsync.serve.declarations.git import GitFollower, GitTarget
from imgsync.serve.declarations.git_command import GitAccess, GitLimits
from tests.support.git_repository import GitRepository
from tests.support.kept_log import KeptLog


@pytest.fixture
def repository(tmp_path) -> GitRepository:
    made = GitRepository(tmp_path / "repository")
    made.declare("one")
    return made


@pytest.fixture
def log() -> KeptLog:
    return KeptLog()


@pytest.fixture
def follow(tmp_path, log) -> Iterator[Callable[..., GitFollower]]:
    """Return followers, each as another process would have it."""
    made: list[GitFollower] = []

    def make(
        url: str, *, settings: GitSettings | None = None, limits: GitLimits | None = None, environ: dict[str, str] | None = None, **target: object
    ) -> GitFollower:
        def load(paths: Sequence[str], *, folder: str = "") -> tuple[Config, Locks | None]:
            config = load_config(paths, registries=None, environ={})
            return config, load_locks(config, f"{folder}/{target['lock_folder']}", frozen=False) if target.get("lock_folder") else None

        for one in made:
            one.close()
        access = GitAccess(lambda: settings or GitSettings(), {"PATH": os.environ["PATH"], **(environ or {})})
        one = GitFollower(GitTarget(url, **target), tmp_path / "state", load, access=access, log=log, limits=limits)  # type: ignore[arg-type]
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()
