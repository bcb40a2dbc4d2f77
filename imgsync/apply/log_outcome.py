"""Log one line per image."""

from __future__ import annotations

from imgsync.apply.report import Outcome, Result
from imgsync.logs.logger import Logger

_COPY_FIELDS = ("bytes_copied", "blobs_copied", "blobs_mounted", "blobs_present", "seconds", "attempts")


def log_outcome(outcome: Outcome, log: Logger) -> None:
    """Log the outcome of a change."""
    fields = _fields(outcome)
    if outcome.result is Result.COPIED:
        log.info("image.copied", **fields, digest=outcome.digest, crc32=outcome.crc32, **{name: getattr(outcome, name) for name in _COPY_FIELDS})
    elif outcome.result is Result.DELETED:
        log.info("image.deleted", **fields, digest=outcome.digest)
    elif outcome.result is Result.REFUSED:
        log.warning("image.refused", **fields, reason=outcome.error, hint=outcome.hint)
    elif outcome.result is Result.FAILED:
        log.error("image.failed", **fields, error=outcome.error, hint=outcome.hint, seconds=outcome.seconds, attempts=outcome.attempts)


def log_unchanged(outcome: Outcome, log: Logger) -> None:
    """Log a change that needed no work."""
    fields = _fields(outcome)
    if outcome.result is Result.KEPT:
        log.debug("image.kept", **fields, digest=outcome.digest)
    elif outcome.result is Result.REFUSED:
        log.warning("image.refused", **fields, reason=outcome.error, hint=outcome.hint)


def _fields(outcome: Outcome) -> dict[str, str]:
    change = outcome.change
    return {"mirror": change.mirror, "source": str(change.source), "destination": str(change.destination)}
