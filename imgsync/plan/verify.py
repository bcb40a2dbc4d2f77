"""
Verify that destinations serve what is declared.

Asks the registries, not the state. Changes nothing. Spec: docs/how-to/verify.md.
"""

from __future__ import annotations

import time
from dataclasses import replace

from imgsync.concurrency.deadline import Deadline
from imgsync.concurrency.stop import Stop
from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.errors import ImgsyncError, StoppedError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Reference, Repository, is_layout
from imgsync.plan.build import build_plan
from imgsync.plan.context import PlanContext
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.listener import VerifyListener
from imgsync.plan.model import Action, Change, PlanError
from imgsync.plan.verify_gone import check_gone_tag
from imgsync.text.units import format_duration, format_timestamp

_IMAGES_AT_ONCE = 4


_DAMAGED_HINT = "repair the registry's storage, or delete the blob there and run `apply --refresh`; a push does not replace a blob that exists"
_DAMAGED_LAYOUT_HINT = "check the medium; delete the file of the blob, blobs/ALGORITHM/DIGITS below the layout, and run `apply`: it brings the blob again"


def verify(config: Config, context: PlanContext, *, deep: bool, listener: VerifyListener) -> Verification:
    """
    Return the condition of every destination that *config* declares.

    Args:
        config: The declared mirrors.
        context: What planning reads from; it must refresh.
        deep: Read and hash every blob.
        listener: Receives the progress of reading; that of planning goes to the listener of *context*.

    Raises:
        StoppedError: A stop was requested.
    """
    began = time.monotonic()
    plan = build_plan(config, context)
    reader = _Reader(config, context, listener)
    checked = [change for change in plan.iter_changes() if change.action is not Action.DELETE]
    gone = {tag.destination: finding for tag, finding in map_unordered(reader.check_gone, plan.gone, limit=_IMAGES_AT_ONCE) if finding is not None}
    served: list[Change | GoneTag] = [change for change in checked if change.action is Action.KEEP]
    served += [tag for tag in plan.gone if tag.destination in gone and gone[tag.destination].condition is Condition.GONE]
    listener.on_images_to_read(len(served) if deep else 0)
    damage = dict(map_unordered(reader.read, served if deep else [], limit=_IMAGES_AT_ONCE))
    return Verification(
        findings=(
            *(_make_finding(change, context, damage.get(change.destination, "")) for change in checked),
            *(_add_damage(gone[tag.destination], damage.get(tag.destination, "")) for tag in plan.gone if tag.destination in gone),
        ),
        errors=(*plan.errors, *reader.errors),
        bytes_read=reader.bytes_read,
        created_at=format_timestamp(context.now),
        seconds=round(time.monotonic() - began, 3),
    )


def _make_finding(change: Change, context: PlanContext, damage: str) -> Finding:
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
    return Finding(
        condition,
        change.mirror,
        str(change.source),
        change.source_digest,
        str(change.destination),
        change.destination_digest,
        reason,
        _explain_damage(change.destination) if damage else change.advice,
        change.left_out,
    )


def _explain_damage(destination: Reference) -> str:
    return _DAMAGED_LAYOUT_HINT if is_layout(destination.repository.registry) else _DAMAGED_HINT


def _add_damage(finding: Finding, damage: str) -> Finding:
    return replace(finding, condition=Condition.LOST, reason=f"{finding.reason}; {damage}") if damage else finding


class _Reader:
    """Reads and hashes the blobs of destinations."""

    def __init__(self, config: Config, context: PlanContext, listener: VerifyListener) -> None:
        self._mirrors = {mirror.name: mirror for mirror in config.mirrors}
        self._context = context
        self._listener = listener
        self.bytes_read = 0
        self.errors: list[PlanError] = []

    def check_gone(self, tag: GoneTag) -> tuple[GoneTag, Finding | None]:
        """Return what the destination has of *tag*, None after an error."""
        try:
            return tag, check_gone_tag(tag, self._mirrors[tag.mirror], self._context)
        except StoppedError:
            raise
        except ImgsyncError as error:
            self.errors.append(PlanError(tag.mirror, str(tag.destination), error.message, error.advice))
            return tag, None

    def read(self, change: Change | GoneTag) -> tuple[Reference, str]:
        """Return the destination and the problems of its blobs."""
        mirror = self._mirrors[change.mirror]
        destination = change.destination
        held = self._context.content.get(destination)
        problems: list[str] = []
        try:
            problems = [] if held is None else self._find_problems(mirror, destination.repository, held.blobs, self._context.stop)
        except StoppedError:
            self._context.stop.raise_if_requested()
            message = f"its blobs could not be read within timeouts.image, {format_duration(mirror.timeouts.image_seconds)}"
            self.errors.append(PlanError(change.mirror, str(destination), message, "raise timeouts.image"))
        except ImgsyncError as error:
            self.errors.append(PlanError(change.mirror, str(destination), error.message, error.advice))
        self._listener.on_image_read()
        return destination, "; ".join(problems)

    def _find_problems(self, mirror: Mirror, repository: Repository, blobs: tuple[Descriptor, ...], stop: Stop) -> list[str]:
        deadline = Deadline(mirror.timeouts.image_seconds, stop=stop, what=str(repository))
        client = self._context.registries.make_destination_client(repository.registry, mirror, check=deadline.check)

        def read(blob: Descriptor) -> str:
            stop.raise_if_requested()
            return self._context.content.verify_blob(client, repository, blob, deadline=deadline, on_bytes=self._count)

        return sorted(problem for problem in map_unordered(read, blobs, limit=mirror.concurrency.blobs) if problem)

    def _count(self, size: int) -> None:
        self.bytes_read += size
        self._listener.on_bytes_read(size)
