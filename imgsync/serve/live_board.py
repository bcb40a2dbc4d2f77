"""The board, as the loop writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from imgsync.config.model import Mirror, Source
from imgsync.plan.model import COPIES, Action, Change, MirrorNotes, Plan, PlanError
from imgsync.plan.packed_changes import pack_changes
from imgsync.serve.agenda import Agenda
from imgsync.serve.assess import MirrorResult
from imgsync.serve.history import History
from imgsync.serve.tags import TagTable
from imgsync.serve.views import ConfigurationView, EventCounts, LeaseView, MirrorState, MirrorTags, MirrorView, RunningView, RunSummary, RunTotals, TagState
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_timestamp

_ORDER = (Action.DELETE, Action.CREATE, Action.UPDATE, Action.REFUSE, Action.HOLD)
_OF_TAGS = (
    (TagState.FAILING, MirrorState.FAILING),
    (TagState.REFUSED, MirrorState.REFUSED),
    (TagState.PENDING, MirrorState.PENDING),
    (TagState.HELD, MirrorState.HELD),
    (TagState.GONE, MirrorState.GONE),
)


@dataclass(slots=True)
class MirrorRecord:
    """What is known of one mirror."""

    mirror: Mirror
    tags: TagTable
    errors: tuple[PlanError, ...] = ()
    notes: MirrorNotes | None = None
    checked_at: datetime | None = None
    last_success: datetime | None = None
    last_run: str = ""


class LiveBoard:
    """How everything stands; see `imgsync.serve.board.Board`."""

    def __init__(
        self, agenda: Agenda, history: History, *, configuration: ConfigurationView, started_at: datetime, only_plans: bool, count_waiting: Callable[[], int]
    ) -> None:
        """
        Begin without mirrors.

        Args:
            agenda: Knows when mirrors run.
            history: Has the runs that ended.
            configuration: Where the declarations come from.
            started_at: When the process began.
            only_plans: Nothing is ever applied.
            count_waiting: Returns how many hints and requests wait.
        """
        self._agenda = agenda
        self._history = history
        self._count_waiting = count_waiting
        self._records: dict[str, MirrorRecord] = {}
        self._problems: dict[str, str] = {}
        self.started_at = started_at
        self.version = 0
        self.configuration = configuration
        self.running: RunningView | None = None
        self.lease: LeaseView | None = None
        self.events: dict[str, EventCounts] = {}
        self.only_plans = only_plans
        self.totals = RunTotals()
        self.clock_jumps = 0

    @property
    def problems(self) -> Sequence[str]:
        """Return what does not work."""
        return tuple(self._problems.values())

    @property
    def waiting(self) -> int:
        """Return how many hints and requests wait for the next run."""
        return self._count_waiting()

    def list_mirrors(self) -> Sequence[MirrorView]:
        """Return every mirror, in the order of the declarations."""
        return tuple(map(self._view, self._records.values()))

    def find_mirror(self, name: str) -> MirrorView | None:
        """Return the mirror *name*."""
        return self._view(self._records[name]) if name in self._records else None

    def find_tags(self, name: str) -> MirrorTags | None:
        """Return the tags of the mirror *name*, as last seen."""
        return self._records[name].tags if name in self._records else None

    def make_plan(self) -> Plan:
        """Return the plan as it stands, with kept tags counted and packed."""
        records = tuple(self._records.values())
        moments = [record.checked_at for record in records if record.checked_at is not None]
        changes = pack_changes(change for record in records for change in _list_changes(record.tags))
        return Plan(
            changes=changes,
            errors=tuple(error for record in records for error in record.errors),
            mirrors=tuple(record.notes or _make_notes(record.mirror) for record in records),
            transfer_bytes=sum(change.size_bytes or 0 for change in changes if change.action in COPIES),
            created_at=format_timestamp(min(moments)) if moments else "",
            gone=tuple(tag.gone for record in records for tag in record.tags.iter_others() if tag.state is TagState.GONE),
            kept=tuple(_Kept(record.mirror.name, record.tags) for record in records),
        )

    def list_runs(self, mirror: str = "") -> Sequence[RunSummary]:
        """Return the runs, newest first; only those of *mirror* if named."""
        runs = self._history.list_runs()
        return [run for run in runs if mirror in run.mirrors] if mirror else runs

    def read_run(self, run: str) -> Mapping[str, object] | None:
        """Return the document imgsync.run/v1, None if it is not kept."""
        return self._history.read_run(run)

    def touch(self) -> None:
        """Say that something changed."""
        self.version += 1

    def set_problem(self, kind: str, text: str) -> None:
        """Show the one problem of a *kind*; "" for none."""
        if text == self._problems.get(kind, ""):
            return
        if text:
            self._problems[kind] = text
        else:
            self._problems.pop(kind, None)
        self.touch()

    def set_mirrors(self, mirrors: Iterable[Mirror]) -> None:
        """Take over the declared *mirrors*."""
        before = self._records
        self._records = {mirror.name: _renew(mirror, before.get(mirror.name)) for mirror in mirrors}
        self.touch()

    def set_successes(self, successes: Mapping[str, datetime]) -> None:
        """Take over when mirrors succeeded last."""
        for name, moment in successes.items():
            if name in self._records:
                self._records[name].last_success = moment
        self.touch()

    def get_table(self, name: str) -> TagTable | None:
        """Return the tags of *name*, None if it is not declared."""
        return self._records[name].tags if name in self._records else None

    def set_result(self, one: MirrorResult, tags: TagTable, *, run: str, ended_at: datetime, has_plan: bool) -> None:
        """Take over what a run found out about one mirror."""
        record = self._records.get(one.mirror)
        if record is None:
            return
        record.last_run = run
        if not has_plan:
            return
        record.tags = tags
        if not one.is_part or one.errors:
            record.errors = one.errors
        if not one.is_part:
            record.checked_at, record.notes = ended_at, one.notes or record.notes

    def _view(self, record: MirrorRecord) -> MirrorView:
        mirror, name = record.mirror, record.mirror.name
        running = self.running is not None and name in self.running.order.mirrors
        return MirrorView(
            name=name,
            source=describe_source(mirror.source),
            destinations=tuple(target.place for target in mirror.destinations),
            file=mirror.file,
            line=mirror.line,
            schedule=self._agenda.describe(mirror),
            state=_find_state(record),
            description=mirror.description,
            counts=record.tags.counts,
            errors=record.errors,
            notes=record.notes.notes if record.notes is not None else (),
            checked_at=record.checked_at,
            last_success=record.last_success,
            next_run=None if running else self._agenda.find_next_run(name),
            failures=self._agenda.get_failures(name),
            last_run=record.last_run,
        )


def describe_source(source: Source) -> str:
    """Return the one place of *source*, or its registry if several."""
    places = (*source.repositories, *source.namespaces)
    return f"{source.registry}/{places[0]}".rstrip("/") if len(places) == 1 else source.registry


class _Kept:
    """The kept tags of one mirror, as a plan has them."""

    def __init__(self, mirror: str, tags: TagTable) -> None:
        self.mirror = mirror
        self._tags = tags

    def __len__(self) -> int:
        return self._tags.counts.get(TagState.IN_STEP, 0)

    def __iter__(self) -> Iterator[Change]:
        return self._tags.iter_in_step()


def _find_state(record: MirrorRecord) -> MirrorState:
    if record.mirror.suspend:
        return MirrorState.SUSPENDED
    if any(not error.later for error in record.errors):
        return MirrorState.FAILING
    if record.checked_at is None:
        return MirrorState.UNCHECKED
    counts = Counter(record.tags.counts)
    found = next((state for tags, state in _OF_TAGS if counts[tags]), MirrorState.IN_STEP)
    return MirrorState.PENDING if record.errors and found not in {MirrorState.FAILING, MirrorState.REFUSED} else found


def _renew(mirror: Mirror, known: MirrorRecord | None) -> MirrorRecord:
    if known is None:
        return MirrorRecord(mirror, TagTable(mirror.name))
    if known.mirror.declaration_digest != mirror.declaration_digest:
        # Its tags were seen as it was declared before.
        known.checked_at = None
    known.mirror = mirror
    return known


def _list_changes(tags: TagTable) -> Iterator[Change]:
    """Yield what is not kept, in the order of a plan."""
    by_action: dict[Action, list[Change]] = {action: [] for action in _ORDER}
    for tag in tags.iter_others():
        if tag.state is not TagState.GONE and tag.change.action in by_action:
            by_action[tag.change.action].append(tag.change)
    return (change for changes in by_action.values() for change in changes)


def _make_notes(mirror: Mirror) -> MirrorNotes:
    destinations = tuple(target.place for target in mirror.destinations)
    return MirrorNotes(mirror.name, mirror.source.registry, destinations, mirror.file, mirror.line, suspended=mirror.suspend)
