"""Follow a git repository in `serve`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from imgsync.cli.options import CommonOptions
from imgsync.config.git_settings import GitSettings
from imgsync.config.load import load_registries
from imgsync.errors import ConfigError
from imgsync.logs.logger import Logger
from imgsync.serve.declarations.follower import LoadDeclarations
from imgsync.serve.declarations.git import GitFollower, GitTarget
from imgsync.serve.declarations.git_command import GitAccess
from imgsync.text.redaction import Redaction


def make_git_follower(
    target: GitTarget,
    common: CommonOptions,
    load: LoadDeclarations,
    *,
    folder: Path | None,
    others: Sequence[str],
    get_settings: Callable[[], GitSettings],
    redaction: Redaction,
    log: Logger,
) -> GitFollower:
    """
    Return the follower of *target*.

    Args:
        target: What to follow.
        common: Says which registries.yaml has the login.
        load: Loads declarations.
        folder: Where the state is; None for a folder of this process alone.
        others: Files that *load* reads besides.
        get_settings: Returns the login that is in use, should registries.yaml be invalid.
        redaction: Hides the login.
        log: Receives notes.

    Raises:
        UsageError: The address, the branch or a path makes no sense, or git is missing.
        StateError: The folder cannot be used.
    """

    def read_settings() -> GitSettings:
        try:
            return load_registries(common.registries, os.environ).serve.git
        except ConfigError:
            # Loading the declarations reports it.
            return get_settings()

    return GitFollower(
        target,
        Path(tempfile.mkdtemp(prefix="imgsync-git-")) if folder is None else folder / "git",
        load,
        access=GitAccess(read_settings, os.environ, lambda secret: redaction.hide([secret])),
        log=log,
        others=others,
    )
