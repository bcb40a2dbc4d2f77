"""Follow declarations in folders and files of this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from imgsync.errors import ConfigError, FileError
from imgsync.serve.declarations.follower import Declarations, LoadDeclarations

_INTERVAL_SECONDS = 3.0
# Between two looks at files that change.
_SETTLE_SECONDS = 1.0
# A file that always changes, such as a log beside the declarations, must not hold them up.
_SETTLE_LOOKS = 10
# What is wrong may be mended elsewhere, such as in a certificate that a file names.
_LOOKS_AT_ERRORS = 10
# Of one file or folder; all that shows that another one is there, or that its rights changed.
_Facts = tuple[str, int, int, int, int, int]


class FolderFollower:
    """
    Reads the declarations again when a file of them changed.

    A file counts as changed by its times, size or place on the disk, also if it is a link to another one, as of a Kubernetes ConfigMap. The files of
    secrets that registries.yaml names count too. Files that are being written are read once they rest: half of a list of tags is a valid one, and
    the other half would be pruned.
    """

    def __init__(self, paths: Sequence[str], load: LoadDeclarations, *, others: Iterable[str] = ()) -> None:
        """Follow *paths*, and the *others* that *load* reads besides, such as registries.yaml."""
        self._paths = tuple(paths)
        self._others = tuple(others)
        self._load = load
        self._named: tuple[str, ...] = ()
        self._seen: tuple[_Facts, ...] | None = None
        self._unsettled: tuple[_Facts, ...] | None = None
        self._looks = 0
        self._errors: tuple[FileError, ...] = ()
        self.origin = ", ".join(self._paths)
        self.interval_seconds = _INTERVAL_SECONDS

    def poll(self, *, must_read: bool = False) -> Declarations | None:
        """Return the declarations, None if they did not change."""
        facts = self._read_facts()
        begins = self._seen is None
        if not must_read and not begins and not self._is_time(facts):
            return None
        found = self._read()
        # Files that changed meanwhile may not fit together.
        if not begins and not must_read and self._looks < _SETTLE_LOOKS and self._read_facts() != facts:
            self._await_rest(None)
            return None
        is_known = found.config is None and found.errors == self._errors and facts == self._seen
        self._errors = found.errors
        self._seen, self._unsettled, self._looks, self.interval_seconds = facts, None, 0, _INTERVAL_SECONDS
        if found.config is not None and found.config.registries.files != self._named:
            self._named = found.config.registries.files
            self._seen = add_facts(facts, (*self._paths, *self._others, *self._named))
        return None if is_known and not must_read else found

    def _is_time(self, facts: tuple[_Facts, ...]) -> bool:
        """Return whether to read files that have these *facts* now."""
        self._looks += 1
        if facts == self._seen:
            self._unsettled, self.interval_seconds = None, _INTERVAL_SECONDS
            if not self._errors:
                self._looks = 0
            return self._looks >= _LOOKS_AT_ERRORS
        if facts == self._unsettled or self._looks >= _SETTLE_LOOKS:
            return True
        self._await_rest(facts)
        return False

    def _await_rest(self, facts: tuple[_Facts, ...] | None) -> None:
        self._unsettled, self.interval_seconds = facts, _SETTLE_SECONDS

    def _read(self) -> Declarations:
        try:
            config, locks = self._load(self._paths)
        except ConfigError as error:
            return Declarations(None, error.errors)
        return Declarations(config, locks=locks)

    def _read_facts(self) -> tuple[_Facts, ...]:
        return read_facts((*self._paths, *self._others, *self._named))

    def close(self) -> None:
        """Do nothing: it holds nothing."""


def read_facts(paths: Iterable[str]) -> tuple[_Facts, ...]:
    """Return what changes when a file at *paths*, or in them, does."""
    return tuple(_iter_facts(paths))


def add_facts(seen: Iterable[_Facts], paths: Iterable[str]) -> tuple[_Facts, ...]:
    """Return the facts of *paths*, but those *seen* before as they were."""
    known = {facts[0]: facts for facts in seen}
    return tuple(known.get(facts[0], facts) for facts in read_facts(paths))


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
        return (path, 0, 0, 0, 0, 0)
    return (path, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
