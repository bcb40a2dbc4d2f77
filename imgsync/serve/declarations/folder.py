"""Follow declarations in folders and files of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from imgsync.errors import ConfigError
from imgsync.serve.declarations.follower import Declarations, LoadDeclarations

_INTERVAL_SECONDS = 3.0
# Of one file or folder; all that shows that another one is there.
_Facts = tuple[str, int, int, int, int]


class FolderFollower:
    """
    Reads the declarations again when a file of them changed.

    A file counts as changed by its time, size or place on the disk, also if it is a link to another one, as of a Kubernetes ConfigMap. The files of
    secrets that registries.yaml names count too.
    """

    def __init__(self, paths: Sequence[str], load: LoadDeclarations, *, others: Iterable[str] = ()) -> None:
        """Follow *paths*, and the *others* that *load* reads besides, such as registries.yaml."""
        self._paths = tuple(paths)
        self._others = tuple(others)
        self._load = load
        self._seen: tuple[_Facts, ...] | None = None
        self._named: tuple[str, ...] = ()
        self._seen_named: tuple[_Facts, ...] = ()
        self.origin = ", ".join(self._paths)
        self.interval_seconds = _INTERVAL_SECONDS

    def poll(self, *, must_read: bool = False) -> Declarations | None:
        """Return the declarations, None if they did not change."""
        # Before reading: what changes meanwhile is seen the next time.
        facts = read_facts((*self._paths, *self._others))
        named = read_facts(self._named)
        if facts == self._seen and named == self._seen_named and not must_read:
            return None
        self._seen, self._seen_named = facts, named
        try:
            config, locks = self._load(self._paths)
        except ConfigError as error:
            return Declarations(None, error.errors)
        if config.registries.files != self._named:
            self._named = config.registries.files
            self._seen_named = read_facts(self._named)
        return Declarations(config, locks=locks)

    def close(self) -> None:
        """Do nothing: it holds nothing."""


def read_facts(paths: Iterable[str]) -> tuple[_Facts, ...]:
    """Return what changes when a file at *paths*, or in them, does."""
    return tuple(_iter_facts(paths))


def _iter_facts(paths: Iterable[str]) -> Iterator[_Facts]:
    for text in paths:
        yield _read_facts(text)
        path = Path(text)
        try:
            inside = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
        except OSError:
            # Reading the folder reports it.
            continue
        yield from (_read_facts(str(path / name)) for name in inside)


def _read_facts(path: str) -> _Facts:
    try:
        found = Path(path).stat()
    except OSError:
        return (path, 0, 0, 0, 0)
    return (path, found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
