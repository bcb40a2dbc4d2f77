"""
Update a saved plan before it is applied.

No new decisions: what was applied since is kept, what the declarations do not cover is refused, and moved tags are noted. The file may come
from anybody, and its check detects damage, not forgery. So it cannot bypass `immutable`, `min_age` or `require`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.errors import ImgsyncError, LimitReachedError, StoppedError, UsageError
from imgsync.filters.globs import compile_glob
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.min_age import MinimumAge
from imgsync.plan.model import COPIES, Action, Change, Plan
from imgsync.plan.packed_changes import PackedChanges, pack_changes
from imgsync.plan.ready import OnPending
from imgsync.plan.refusal import BACK, IMMUTABLE, NO_RECORD, NOT_OURS, OTHER_MIRROR, UNSURE
from imgsync.plan.resume import APPLIED
from imgsync.state import Record
from imgsync.text.units import parse_timestamp


def update_saved_plan(plan: Plan, config: Config, context: PlanContext, *, on_pending: OnPending | None) -> Plan:
    """
    Return *plan* as it applies now, with notes on tags that moved.

    Args:
        plan: The plan as saved.
        config: The declarations it is applied with.
        context: State and registries to compare with.
        on_pending: Called with the changes of each source tag that may begin at once.

    Raises:
        UsageError: A change exceeds what its mirror declares.
    """
    mirrors = {mirror.name: mirror for mirror in config.mirrors}
    scopes = check_declared(plan.iter_changes(), config)
    updater = _Updater(plan, mirrors, scopes, context)
    changes = pack_changes(updater.update(change) for change in plan.iter_changes())
    groups = _group_copies(changes)
    if on_pending is not None:
        for group in groups:
            on_pending(group)
    limit = max((mirror.concurrency.queries for mirror in config.mirrors), default=1)
    doubtful = [change for change in changes if change.action is Action.DELETE and (change.gone_since or context.state.get(str(change.destination)) is None)]
    checked = {change.destination: change for change in map_unordered(updater.check_deletion, doubtful, limit=limit)}
    context.listener.on_listed(len(groups))
    notes = sorted(note for note in map_unordered(updater.note_move, (group[0] for group in groups), limit=limit) if note)
    current = replace(plan, changes=_replace_checked(changes, checked) if checked else changes, notes=tuple(notes), known_id=plan.id, kept=())
    return replace(current, transfer_bytes=_limit_transfer_bytes(current))


def _replace_checked(changes: Iterable[Change], checked: Mapping[Reference, Change]) -> tuple[Change, ...] | PackedChanges:
    return pack_changes(checked.get(change.destination, change) for change in changes)


def check_declared(changes: Iterable[Change], config: Config) -> Mapping[str, DeclarationScope]:
    """
    Return what each mirror declares; all of *changes* are within it.

    Raises:
        UsageError: One is not.
    """
    scopes = {mirror.name: DeclarationScope(mirror) for mirror in config.mirrors}
    for change in changes:
        if change.mirror not in scopes or not scopes[change.mirror].includes(change):
            raise UsageError(
                f"the plan would {change.action.value} {change.destination} from {change.source}, which the mirror '{change.mirror}' does not declare",
                hint="make the plan again: imgsync plan --out FILE",
            )
    return scopes


def _group_copies(changes: Iterable[Change]) -> Sequence[Sequence[Change]]:
    """Return the creates and updates, one group per source tag."""
    groups: dict[tuple[str, Reference], list[Change]] = {}
    for change in changes:
        if change.action in COPIES:
            groups.setdefault((change.mirror, change.source), []).append(change)
    return tuple(groups.values())


def _limit_transfer_bytes(plan: Plan) -> int:
    """Return an upper limit of the bytes left to transfer."""
    if plan.part:
        # A shard copies blobs for others too.
        return plan.transfer_bytes
    sizes = [change.size_bytes for change in plan.copies]
    return min(plan.transfer_bytes, sum(size for size in sizes if size is not None)) if None not in sizes else plan.transfer_bytes


class _Updater:
    """Updates the changes of a saved plan."""

    def __init__(self, plan: Plan, mirrors: Mapping[str, Mirror], scopes: Mapping[str, DeclarationScope], context: PlanContext) -> None:
        """Compare *plan* with the state and the registries of *context*."""
        self._saved_at = parse_timestamp(plan.created_at)
        self._mirrors = mirrors
        self._registries = context.registries
        self._policy = context.policy
        self._state = context.state
        self._check = context.stop.raise_if_requested
        self._log = context.log
        self._listener = context.listener
        self._scopes = scopes
        self._immutable = {name: [compile_glob(text) for text in mirror.immutable] for name, mirror in mirrors.items()}
        self._minimum_ages = {name: MinimumAge(mirror.tags, context.state, now=context.now) for name, mirror in mirrors.items()}

    def update(self, change: Change) -> Change:
        """Return *change* as state and declarations allow it now."""
        record = self._state.get(str(change.destination))
        if change.action is Action.DELETE:
            if record is not None and change.gone_since and record.destination not in self._state.gone_since:
                return replace(change, action=Action.REFUSE, reason=BACK)
            problem = self._explain_not_ours(record, change) if record is not None else ""
            return replace(change, action=Action.REFUSE, reason=problem) if problem else change
        if change.action is Action.KEEP:
            return self._update_kept(change, record)
        if change.action not in COPIES:
            return change
        if record is not None and self._is_newer(record) and self._is_of_source(record, change):
            return replace(change, action=Action.KEEP, destination_digest=record.digest, reason=APPLIED)
        return self._enforce_rules(change, record)

    def check_deletion(self, change: Change) -> Change:
        """
        Return what to do with a deletion that needs another look.

        Without a record, a tag that is gone is kept so, and one that exists is not deleted. Neither is one that is back at its source.
        """
        return self._check_unrecorded(change) if self._state.get(str(change.destination)) is None else self._check_gone(change)

    def _check_gone(self, change: Change) -> Change:
        client = self._registries.make_source_client(self._mirrors[change.mirror], check=self._check)
        try:
            found = client.resolve(change.source)
        except ImgsyncError as error:
            if isinstance(error, StoppedError) and not isinstance(error, LimitReachedError):
                return change  # Nothing is deleted after a stop: it is left for the next run.
            return replace(change, action=Action.REFUSE, reason=f"{UNSURE}; {error.message}")
        return change if found is None else replace(change, action=Action.REFUSE, reason=BACK)

    def _check_unrecorded(self, change: Change) -> Change:
        client = self._registries.make_destination_client(change.destination.repository.registry, self._mirrors[change.mirror], check=self._check)
        try:
            found = client.resolve(change.destination)
        except ImgsyncError as error:
            if isinstance(error, StoppedError) and not isinstance(error, LimitReachedError):
                return change  # Nothing is deleted after a stop: it is left for the next run.
            return replace(change, action=Action.REFUSE, reason=f"{NO_RECORD}; {error.message}")
        if found is None:
            return replace(change, action=Action.KEEP, destination_digest=None, reason="gone since the plan was made")
        return replace(change, action=Action.REFUSE, reason=NOT_OURS)

    def note_move(self, change: Change) -> str:
        """Return a note if the source tag moved, or ""."""
        note = self._find_move(change)
        self._listener.on_looked_up()
        return note

    def _find_move(self, change: Change) -> str:
        saved = shorten_digest(change.source_digest or "")
        try:
            found = self._registries.make_source_client(self._mirrors[change.mirror], check=self._check).resolve(change.source)
        except StoppedError:
            # The report already says that the run stopped, or that no pulls are left.
            return ""
        except ImgsyncError as error:
            note = f"{change.source} could not be checked for a move ({error.message}); applying {saved} as reviewed"
            self._log.warning("tag.unknown", mirror=change.mirror, source=str(change.source), reason=note)
            return note
        if found is None:
            note = f"{change.source} is gone since the plan was made; applying {saved} as reviewed"
            self._log.warning("tag.vanished", mirror=change.mirror, source=str(change.source), reason=note)
            return note
        if found.digest == change.source_digest:
            return ""
        note = f"{change.source} moved since the plan was made, {saved} → {shorten_digest(found.digest)}; applying {saved} as reviewed"
        self._log.warning("tag.moved", mirror=change.mirror, source=str(change.source), reason=note)
        return note

    def _update_kept(self, change: Change, record: Record | None) -> Change:
        reason = change.reason
        if record is not None and self._is_newer(record) and not self._is_of_source(record, change):
            reason = "changed since the plan was made; left unchanged"
        # Without a source digest no record is written: later runs must not believe what a file says is there.
        return replace(change, source_digest=None, destination_digest=record.digest if record is not None else change.destination_digest, reason=reason)

    def _enforce_rules(self, change: Change, record: Record | None) -> Change:
        """Apply `immutable` and `min_age` to *change*."""
        if record is not None and record.source_digest != change.source_digest and self._is_immutable(change):
            since = ", and was mirrored since the plan was made" if self._is_newer(record) else ""
            moved = f"{shorten_digest(record.source_digest)} → {shorten_digest(change.source_digest or '')}"
            return replace(change, action=Action.REFUSE, reason=f"{IMMUTABLE}{since}: {moved}")
        hold = self._minimum_ages[change.mirror].find_hold(change.source, change.source_digest or "")
        return change if hold is None else replace(change, action=Action.HOLD, reason=hold.reason, held_until=hold.until)

    def _is_immutable(self, change: Change) -> bool:
        return any(glob.fullmatch(change.source.tag) for glob in self._immutable[change.mirror])

    def _explain_not_ours(self, record: Record, change: Change) -> str:
        """Return why the mirror did not push *record*, or ""."""
        if not record.applied_at or record.digest != change.destination_digest:
            return NOT_OURS
        return "" if self._scopes[change.mirror].owns(record.mirror, change.source, change.destination) else OTHER_MIRROR

    def _is_of_source(self, record: Record, change: Change) -> bool:
        """Return whether *record* is of the image that *change* copies."""
        settings = self._policy.describe_settings(self._mirrors[change.mirror], change.source.repository)
        return (record.source_digest, record.selection) == (change.source_digest, settings)

    def _is_newer(self, record: Record) -> bool:
        """Return whether *record* was pushed after the plan was made."""
        pushed_at = parse_timestamp(record.applied_at)
        return pushed_at is not None and self._saved_at is not None and pushed_at > self._saved_at
