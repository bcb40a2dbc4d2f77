"""
Whether the destinations really serve what is declared: asked anew, tag by tag, manifest by manifest, blob by blob.

What differs is drift; `apply --refresh` repairs what can be repaired by pushing. Changes nothing. Spec: design.md §3 `verify`.
"""

from __future__ import annotations

import time

from imgsync.concurrency.deadline import Deadline
from imgsync.concurrency.stop import Stop
from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.errors import ImgsyncError, StoppedError
from imgsync.oci.spec.manifest import Descriptor
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.build import build_plan
from imgsync.plan.context import PlanContext
from imgsync.plan.decide import REQUIRED
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.model import Action, Change, PlanError
from imgsync.text.units import format_duration, format_timestamp

_IMAGES_AT_ONCE = 4


_HINTS = {
    Condition.DAMAGED: "mend the registry's storage: no push can, since it takes the blob for present; once that is deleted, `apply --refresh` sends it again",
    Condition.REFUSED: "find out who moved it; to let it move, take it out of `immutable`",
}


def verify(config: Config, context: PlanContext, *, deep: bool) -> Verification:
    """
    Return how it stands with everything that *config* declares; *deep* reads every blob and hashes it. *context* must be one that refreshes.

    Raises:
        StoppedError: A stop was requested.
    """
    began = time.monotonic()
    plan = build_plan(config, context)
    reader = _Reader(config, context)
    looked = [change for change in plan.changes if change.action is not Action.DELETE]
    damage = dict(map_unordered(reader.read, [change for change in looked if deep and change.action is Action.KEEP], limit=_IMAGES_AT_ONCE))
    return Verification(
        findings=tuple(_finding(change, context, damage.get(change.destination, "")) for change in looked),
        errors=(*plan.errors, *reader.errors),
        bytes_read=reader.bytes_read,
        created_at=format_timestamp(context.now),
        seconds=round(time.monotonic() - began, 3),
    )


def _finding(change: Change, context: PlanContext, damage: str) -> Finding:
    reason = damage or change.reason
    held = context.content.get(change.destination)
    if held is not None and held.missing:
        reason = f"{change.reason}: {', '.join(held.missing)}"
    condition = {
        Action.CREATE: Condition.MISSING,
        Action.UPDATE: Condition.DIFFERS if held is None else Condition.INCOMPLETE,
        Action.KEEP: Condition.DAMAGED if damage else Condition.OK,
        Action.HOLD: Condition.HELD,
        Action.REFUSE: Condition.REFUSED,
    }[change.action]
    # What lacks something was not moved by anybody: its reason says all.
    hint = "" if change.reason.startswith(REQUIRED) else _HINTS.get(condition, "")
    return Finding(condition, change.mirror, str(change.source), change.source_digest, str(change.destination), change.destination_digest, reason, hint)


class _Reader:
    """Reads and hashes what destinations hold."""

    def __init__(self, config: Config, context: PlanContext) -> None:
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._context = context
        self.bytes_read = 0
        self.errors: list[PlanError] = []

    def read(self, change: Change) -> tuple[Reference, str]:
        """Return the destination, and what is wrong with the bytes of its image, "" for nothing."""
        mirror = self._mirrors[change.mirror]
        destination = change.destination
        held = self._context.content.get(destination)
        wrong: list[str] = []
        try:
            wrong = [] if held is None else self._wrong(mirror, destination.repository, held.blobs, self._context.stop)
        except StoppedError:
            self._context.stop.raise_if_requested()
            message = f"its blobs could not be read within timeouts.image, {format_duration(mirror.timeouts.image_seconds)}"
            self.errors.append(PlanError(change.mirror, str(destination), message, "raise timeouts.image"))
        except ImgsyncError as error:
            self.errors.append(PlanError(change.mirror, str(destination), error.message, error.hint))
        return destination, "; ".join(wrong)

    def _wrong(self, mirror: Mirror, repository: Repository, blobs: tuple[Descriptor, ...], stop: Stop) -> list[str]:
        deadline = Deadline(mirror.timeouts.image_seconds, stop=stop, what=str(repository))
        client = self._context.registries.make_destination_client(repository.registry, mirror, check=deadline.check)

        def read(blob: Descriptor) -> str:
            stop.raise_if_requested()
            return self._context.content.verify_blob(client, repository, blob, deadline=deadline, on_bytes=self._count)

        return sorted(wrong for wrong in map_unordered(read, blobs, limit=mirror.concurrency.blobs) if wrong)

    def _count(self, size: int) -> None:
        self.bytes_read += size
