"""Decide whether to requeue: not endlessly, not without progress."""

from __future__ import annotations

from collections.abc import Mapping

from imgsync.apply.report import Report, Result
from imgsync.errors import UsageError
from imgsync.requeue.model import REQUEUED_VARIABLE
from imgsync.system.dataclass import dataclass

DEFAULT_LIMIT = 20
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run achieved."""

    copied: int = 0
    deleted: int = 0
    bytes_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0

    @classmethod
    def of(cls, report: Report) -> Progress:
        """Return the progress in *report*."""
        return cls(
            copied=report.count(Result.COPIED),
            deleted=report.count(Result.DELETED),
            bytes_copied=report.total("bytes_copied"),
            blobs_mounted=report.total("blobs_mounted"),
            blobs_present=report.total("blobs_present"),
        )

    def __bool__(self) -> bool:
        """Return whether there was any progress."""
        return any((self.copied, self.deleted, self.bytes_copied, self.blobs_mounted, self.blobs_present))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to start the next run, why, and its number from 1."""

    allowed: bool
    reason: str
    number: int


def count_requeues(environ: Mapping[str, str], recorded: int) -> int:
    """
    Return how many runs in a row were requeued.

    This is the maximum of the number in the environment and the *recorded* one.

    An empty variable counts as not set, since workflows pass on an input even if it is empty.

    Raises:
        UsageError: IMGSYNC_REQUEUED is not a number.
    """
    text = environ.get(REQUEUED_VARIABLE, "").strip()
    if not text:
        return recorded
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise UsageError(
            f"{REQUEUED_VARIABLE} is {text[:40]!r}, which is not a number of requeues",
            hint="--requeue sets it for the runs that it starts; pass it on unchanged, or unset it",
        )
    return max(int(text), recorded)


def may_requeue(so_far: int, *, limit: int, progress: Progress) -> Decision:
    """Decide whether to start the next run."""
    number = so_far + 1
    if limit <= 0:
        return Decision(False, "--requeue-limit is 0", number)
    if so_far >= limit:
        return Decision(False, f"{so_far} runs in a row were requeued, and the limit is {limit}", number)
    if not progress:
        return Decision(False, "this run copied and deleted nothing, so the next one would not either", number)
    return Decision(True, f"work is left, and this is requeue {number} of at most {limit}", number)
