"""Whether a run may start the next one: never without end, never after a run that got nowhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from imgsync.apply.report import Report, Result
from imgsync.errors import UsageError
from imgsync.requeue.model import REQUEUED_VARIABLE

DEFAULT_LIMIT = 20
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run got done: images copied and deleted, bytes sent, and blobs that the destination took from another repository or had already."""

    copied: int = 0
    deleted: int = 0
    bytes_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0

    @classmethod
    def of(cls, report: Report) -> Progress:
        """Return what *report* tells of, images that failed or were cut short included: what they sent need not be sent again."""
        return cls(
            copied=report.count(Result.COPIED),
            deleted=report.count(Result.DELETED),
            bytes_copied=report.total("bytes_copied"),
            blobs_mounted=report.total("blobs_mounted"),
            blobs_present=report.total("blobs_present"),
        )

    def __bool__(self) -> bool:
        """Return whether there was any."""
        return any((self.copied, self.deleted, self.bytes_copied, self.blobs_mounted, self.blobs_present))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the next run may be started, why in words, and which one in a row it would be (from 1)."""

    allowed: bool
    reason: str
    number: int


def requeues_so_far(environ: Mapping[str, str], remembered: int) -> int:
    """
    Return how many runs in a row were started by the one before: what the environment says or what the state remembers, whichever is more.

    An empty variable is one that is not set: workflows pass an input on whether it was given or not.

    Raises:
        UsageError: IMGSYNC_REQUEUED is no number.
    """
    text = environ.get(REQUEUED_VARIABLE, "").strip()
    if not text:
        return remembered
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise UsageError(
            f"{REQUEUED_VARIABLE} is {text[:40]!r}, which is no number of requeues",
            hint="it is set for the runs that --requeue starts; pass it on as it came, or leave it out",
        )
    return max(int(text), remembered)


def may_requeue(so_far: int, *, limit: int, progress: Progress) -> Decision:
    """Decide whether a run that leaves work behind may start the next one, *so_far* having been started in a row already."""
    number = so_far + 1
    if limit <= 0:
        return Decision(False, "the limit of requeues is 0", number)
    if so_far >= limit:
        return Decision(False, f"{so_far} runs in a row were started by the one before, and {limit} is the limit", number)
    if not progress:
        return Decision(False, "this run copied and deleted nothing, so the next one would not either", number)
    return Decision(True, f"work is left, and this is requeue {number} of at most {limit}", number)
