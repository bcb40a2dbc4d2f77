"""Where the declarations come from, and what a version of them says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from imgsync.config.model import Config
from imgsync.errors import FileError
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.lock.load_locks import Locks


class LoadDeclarations(Protocol):
    """Reads mirrors, settings and locks, as every command does."""

    def __call__(self, paths: Sequence[str], *, folder: str = "") -> tuple[Config, Locks | None]:
        """
        Return the configuration in *paths*, and the locks if used.

        A lock folder that is not absolute is looked for below *folder*, "" for the working directory. registries.yaml is always the one of this machine.

        Raises:
            ConfigError: With every error of every file.
        """


@dataclass(frozen=True, slots=True)
class Declarations:
    """
    One version of the declarations.

    `config` is None if they are not valid, and `errors` then say why. `revision` is the commit, "" for a folder. `locks` are None unless this process uses
    them.

    A follower that begins where the newest version is not valid, or cannot be read, returns the last good one that it kept. Then `errors` are those of
    `failed_revision`, or `fault` says why the origin cannot be read.
    """

    config: Config | None
    errors: tuple[FileError, ...] = ()
    revision: str = ""
    locks: Locks | None = None
    failed_revision: str = ""
    fault: str = ""


class Follower(Protocol):
    """
    Looks for another version of the declarations.

    `origin` is the folder, or the URL and branch without a login. `interval_seconds` is the time from one look to the next.
    """

    origin: str
    interval_seconds: float

    def poll(self, *, must_read: bool = False) -> Declarations | None:
        """
        Return the declarations, None if they did not change.

        With *must_read* they are read again in any case, since the settings of this machine may have changed. Only one call runs at a time; it may wait for
        the network, in other greenlets than the caller of the loop.

        Raises:
            ImgsyncError: The origin cannot be read; what was read before stays valid.
        """

    def close(self) -> None:
        """Give back what it holds, such as a folder of its own."""
