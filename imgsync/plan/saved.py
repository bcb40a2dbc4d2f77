"""
A saved plan on its way to being applied, exactly as it was reviewed (design.md §4).

Nothing is decided anew: what was done meanwhile is kept, what the declarations do not cover is refused, and a tag that moved is told of.
A plan is a file that somebody hands over, and its check tells of damage, not of who wrote it: it passes no gate that the declarations set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.errors import BudgetSpentError, ImgsyncError, StoppedError, UsageError
from imgsync.filters.globs import compile_glob
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.min_age import MinimumAge
from imgsync.plan.model import COPIES, Action, Change, Plan
from imgsync.plan.ready import OnPending
from imgsync.state import Record
from imgsync.text.units import parse_timestamp


def update_saved_plan(plan: Plan, config: Config, context: PlanContext, *, on_pending: OnPending | None) -> Plan:
    """
    Return *plan* as it is to be applied now, for *config*, with notes on the tags that moved since; *on_pending* is told of what may begin at once.

    Raises:
        UsageError: A change is outside of what its mirror declares.
    """
    mirrors = {mirror.name: mirror for mirror in config.mirrors}
    _check_declared(plan.changes, mirrors)
    reviewed = _SavedPlan(plan, mirrors, context)
    changes = tuple(reviewed.now(change) for change in plan.changes)
    together: dict[tuple[str, Reference], list[Change]] = {}
    for change in changes:
        if change.action in COPIES:
            together.setdefault((change.mirror, change.source), []).append(change)
    if on_pending is not None:
        for some in together.values():
            on_pending(some)
    at_once = max((mirror.concurrency.queries for mirror in config.mirrors), default=1)
    forgotten = [change for change in changes if change.action is Action.DELETE and context.state.get(str(change.destination)) is None]
    gone = {change.destination: change for change in map_unordered(reviewed.still_there, forgotten, limit=at_once)}
    notes = sorted(note for note in map_unordered(reviewed.moved, (some[0] for some in together.values()), limit=at_once) if note)
    current = replace(plan, changes=tuple(gone.get(change.destination, change) for change in changes), notes=tuple(notes), saved_id=plan.id)
    return replace(current, transfer_bytes=_transfer_bytes(current))


def _check_declared(changes: Iterable[Change], mirrors: Mapping[str, Mirror]) -> None:
    declared = {name: DeclarationScope(mirror) for name, mirror in mirrors.items()}
    for change in changes:
        if change.mirror not in declared or not declared[change.mirror].includes(change):
            raise UsageError(
                f"the plan would {change.action.value} {change.destination} from {change.source} for the mirror '{change.mirror}', "
                "which declares no such thing",
                hint="make the plan again: imgsync plan --out FILE",
            )


def _transfer_bytes(plan: Plan) -> int:
    """Return how much is left to move at most: what the plan says, or all of the images that are still to be copied."""
    sizes = [change.size_bytes for change in plan.copies]
    return min(plan.transfer_bytes, sum(size for size in sizes if size is not None)) if None not in sizes else plan.transfer_bytes


class _SavedPlan:
    """A plan that was saved, and what came about since."""

    def __init__(self, plan: Plan, mirrors: Mapping[str, Mirror], context: PlanContext) -> None:
        """Compare *plan* with the state and the registries of *context*."""
        self._made_at = parse_timestamp(plan.created_at)
        self._mirrors = mirrors
        self._registries = context.registries
        self._policy = context.policy
        self._state = context.state
        self._check = context.stop.raise_if_requested
        self._log = context.log
        self._immutable = {name: [compile_glob(text) for text in mirror.immutable] for name, mirror in mirrors.items()}
        self._minimum_ages = {name: MinimumAge(mirror.tags, context.state, now=context.now) for name, mirror in mirrors.items()}

    def now(self, change: Change) -> Change:
        """Return *change* as it stands by what is remembered and declared: what was applied since is not done again, and no gate is passed by a file's word."""
        record = self._state.get(str(change.destination))
        if change.action is Action.DELETE:
            ours = record is None or (record.applied_at and record.digest == change.destination_digest)
            return (
                change if ours else replace(change, action=Action.REFUSE, reason="the state does not say any more that imgsync pushed this; it is left alone")
            )
        if change.action is Action.KEEP:
            return self._kept(change, record)
        if change.action not in COPIES:
            return change
        if record is not None and self._is_newer(record) and self._is_same(change, record):
            return replace(change, action=Action.KEEP, destination_digest=record.digest, reason="applied since the plan was made")
        return self._gated(change, record)

    def _kept(self, change: Change, record: Record | None) -> Change:
        """Return *change*, nothing of which is remembered: a file's word for what is there would have later runs leave a tag as it is."""
        reason = change.reason
        if record is not None and self._is_newer(record) and not self._is_same(change, record):
            reason = "changed since the plan was made; it is left as it is"
        return replace(change, source_digest=None, destination_digest=record.digest if record is not None else change.destination_digest, reason=reason)

    def _gated(self, change: Change, record: Record | None) -> Change:
        """Return *change* if `immutable` and `min_age` let it pass."""
        if (
            record is not None
            and record.source_digest != change.source_digest
            and any(glob.fullmatch(change.source.tag) for glob in self._immutable[change.mirror])
        ):
            since = ", and was mirrored since the plan was made" if self._is_newer(record) else ""
            moved = f"{shorten_digest(record.source_digest)} → {shorten_digest(change.source_digest or '')}"
            return replace(change, action=Action.REFUSE, reason=f"tag is declared immutable{since}: {moved}")
        held = self._minimum_ages[change.mirror].explain_hold(change.source, change.source_digest or "")
        return replace(change, action=Action.HOLD, reason=held) if held else change

    def _is_same(self, change: Change, record: Record) -> bool:
        """Return whether *record* is of what *change* is to copy."""
        selection = self._policy.describe_settings(self._mirrors[change.mirror], change.source.repository)
        return (record.source_digest, record.selection) == (change.source_digest, selection)

    def still_there(self, change: Change) -> Change:
        """Return what to do about a tag to delete of which nothing is remembered: nothing when it is gone, as an apply of this plan would have it."""
        client = self._registries.make_destination_client(change.destination.repository.registry, self._mirrors[change.mirror], check=self._check)
        try:
            found = client.resolve(change.destination)
        except ImgsyncError as error:
            if isinstance(error, StoppedError) and not isinstance(error, BudgetSpentError):
                return change  # Nothing is deleted after a stop: it is left for the next run.
            return replace(change, action=Action.REFUSE, reason=f"nothing is remembered of it any more, so it is left alone; {error.message}")
        if found is None:
            return replace(change, action=Action.KEEP, destination_digest=None, reason="gone since the plan was made")
        return replace(change, action=Action.REFUSE, reason="the state does not say any more that imgsync pushed this; it is left alone")

    def moved(self, change: Change) -> str:
        """Return a note about the source tag of *change* when it no longer names what was reviewed, "" when it does."""
        reviewed = shorten_digest(change.source_digest or "")
        fields = {"mirror": change.mirror, "source": str(change.source)}
        try:
            found = self._registries.make_source_client(self._mirrors[change.mirror], check=self._check).resolve(change.source)
        except StoppedError:
            # Whoever stops the run, or has no pulls left, is told of that already.
            return ""
        except ImgsyncError as error:
            note = f"{change.source}: whether it moved since the plan was made is not known ({error.message}); as reviewed, {reviewed} is applied"
            self._log.warning("tag.unknown", **fields, reason=note)
            return note
        if found is None:
            note = f"{change.source} is gone since the plan was made; as reviewed, {reviewed} is applied"
            self._log.warning("tag.vanished", **fields, reason=note)
            return note
        if found.digest == change.source_digest:
            return ""
        note = f"{change.source} moved since the plan was made, {reviewed} → {shorten_digest(found.digest)}; as reviewed, {reviewed} is applied"
        self._log.warning("tag.moved", **fields, reason=note)
        return note

    def _is_newer(self, record: Record) -> bool:
        """Return whether *record* is of something that was pushed after the plan was made; an older one the plan knew of."""
        pushed_at = parse_timestamp(record.applied_at)
        return pushed_at is not None and self._made_at is not None and pushed_at > self._made_at
