"""
The runs that ended, one document each in a folder.

The newest 500 are kept, up to 64 MiB. Those that were fine and changed nothing go first, but of the newest hundred none. The folder is only history: if it
cannot be read or written, everything else goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from imgsync.concurrency.native_thread import run_in_thread
from imgsync.documents.json_stream import iter_json
from imgsync.serve.run_document import decode_summary
from imgsync.serve.views import RunSummary
from imgsync.system.atomic_write import write_atomically
from imgsync.system.dataclass import dataclass

RUNS_LIMIT = 500
SIZE_LIMIT_BYTES = 64 << 20
_NEWEST = 100
_DOCUMENT_LIMIT_BYTES = 2 << 20
_SUFFIX = ".json"
_UNCHANGED = frozenset({"kept", "keep", "held", "hold"})


@dataclass(frozen=True, slots=True)
class _Run:
    summary: RunSummary
    size_bytes: int

    @property
    def is_quiet(self) -> bool:
        """Return whether it was fine and changed nothing."""
        return self.summary.exit_code == 0 and not self.summary.error and self.summary.counts.keys() <= _UNCHANGED


class History:
    """
    Keeps the newest runs.

    `problem` says why the last run was not written down, "" if it was.
    """

    def __init__(self, folder: Path | None, *, clean: Callable[[Any], Any], on_damaged: Callable[[str, str], object]) -> None:
        """
        Read the runs in *folder*; None keeps them in memory only.

        Args:
            folder: Made with the first run, for this user alone.
            clean: Hides secrets in a document.
            on_damaged: Called with the name of a file that is skipped, and why.
        """
        self._folder = folder
        self._clean = clean
        self.problem = ""
        self._runs = sorted(_read_runs(folder, on_damaged), key=lambda run: (run.summary.began_at, run.summary.id)) if folder is not None else []

    def list_runs(self) -> Sequence[RunSummary]:
        """Return the runs, newest first."""
        return tuple(run.summary for run in reversed(self._runs))

    def read_run(self, run: str) -> Mapping[str, object] | None:
        """Return the document of a run, None if it is not kept."""
        if self._folder is None or all(one.summary.id != run for one in self._runs):
            return None
        try:
            return _read_document(self._folder / f"{run}{_SUFFIX}")
        except (OSError, ValueError):
            return None

    def find_last_runs(self) -> Mapping[str, datetime]:
        """Return when each mirror was last applied as a whole, with success."""
        runs = (run.summary for run in self._runs)
        return {name: run.began_at for run in runs if run.applies and not run.is_partial and run.exit_code == 0 for name in run.mirrors}

    def add(self, summary: RunSummary, document: Mapping[str, Any]) -> None:
        """Add a run; `problem` says whether it could be written."""
        pieces = [piece.encode() for piece in iter_json(self._clean(document), indented=False, ascii_only=True, end="\n")]
        self._runs.append(_Run(summary, sum(map(len, pieces))))
        folder = self._folder
        if folder is not None:
            # A slow disk must not stop the page.
            self.problem = run_in_thread(lambda: _try_write(folder, f"{summary.id}{_SUFFIX}", pieces))
        self._thin()

    def _thin(self) -> None:
        """Forget runs beyond the limits."""
        size = sum(run.size_bytes for run in self._runs)
        while self._runs and (len(self._runs) > RUNS_LIMIT or size > SIZE_LIMIT_BYTES):
            quiet = (number for number, run in enumerate(self._runs[:-_NEWEST]) if run.is_quiet)
            gone = self._runs.pop(next(quiet, 0))
            size -= gone.size_bytes
            if self._folder is not None:
                with contextlib.suppress(OSError):
                    (self._folder / f"{gone.summary.id}{_SUFFIX}").unlink()


def _try_write(folder: Path, name: str, pieces: Sequence[bytes]) -> str:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(folder / name, pieces)
    except OSError as error:
        return f"the history of runs cannot be written in {folder}: {error.strerror}"
    return ""


def _read_runs(folder: Path, on_damaged: Callable[[str, str], object]) -> Iterator[_Run]:
    try:
        names = sorted(one.name for one in folder.iterdir())
    except OSError:
        # There is none yet, or it cannot be read; then writing reports it.
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            # Half a document, of a process that was killed.
            with contextlib.suppress(OSError):
                path.unlink()
        elif name.endswith(_SUFFIX):
            try:
                yield _Run(_read_summary(path), path.stat().st_size)
            except (OSError, ValueError) as error:
                on_damaged(name, str(error))


def _read_summary(path: Path) -> RunSummary:
    summary = decode_summary(_read_document(path))
    if f"{summary.id}{_SUFFIX}" != path.name:
        raise ValueError(f"it is about {summary.id!r}")
    return summary


def _read_document(path: Path) -> dict[str, Any]:
    """
    Return the document in the file at *path*.

    Raises:
        OSError: It cannot be read, or is a link.
        ValueError: It is damaged, or too large.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
        data = file.read(_DOCUMENT_LIMIT_BYTES + 1)
    if len(data) > _DOCUMENT_LIMIT_BYTES:
        raise ValueError("it is too large")
    try:
        document: dict[str, Any] = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - the only error that callers know
    return document
