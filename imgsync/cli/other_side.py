"""What `--have` and `--since` say, as the destination of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from imgsync.bundle.destination import BundleContents
from imgsync.bundle.holdings import Holdings
from imgsync.bundle.read_have import HaveFiles, read_have_files
from imgsync.bundle.read_since import hold_bundles, read_chain
from imgsync.cli.options import CommonOptions
from imgsync.cli.session import Session
from imgsync.cli.state_options import open_store
from imgsync.config.model import Config
from imgsync.errors import UsageError
from imgsync.plan.model import MirrorNotes, Plan
from imgsync.state import SeenBlobs, Snapshot, StateStore
from imgsync.state.snapshot import BLOB, KINDS, REFERRERS, SEEN
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_duration, parse_timestamp

_NO_DELETIONS = "a bundle carries no deletions; `prune` works where it is loaded, with the declarations there"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class OtherSide:
    """
    What the other side has.

    `parent` is the newest bundle that it has loaded, `inventory` the id of its inventory, `states` are exported ones. `notes` say what is wrong with it,
    and `ages` how old its inventories are.
    """

    contents: BundleContents
    parent: str = ""
    inventory: str = ""
    states: tuple[Snapshot, ...] = ()
    notes: tuple[str, ...] = ()
    ages: tuple[str, ...] = ()

    def stand_in(self, session: Session, first_seen: FirstSeen) -> None:
        """
        Let the destinations of *session* be what the other side has.

        Its state must be in memory. Of the user's state, only *first_seen* counts.
        """
        session.registries.find_store = self.contents.find_store
        _fill(session.state, self)
        for note in self.notes:
            session.log.warning("inventory.unfit", reason=note)
        first_seen.fill(session.state)

    def leave_out_deletions(self, config: Config) -> Config:
        """Return *config* with mirrors that delete nothing."""
        return replace(config, mirrors=tuple(replace(mirror, prune=None) for mirror in config.mirrors))

    def add_notes(self, plan: Plan, config: Config) -> Plan:
        """Return *plan* as the plan of a bundle, with notes."""
        pruning = {mirror.name for mirror in config.mirrors if mirror.prune is not None}
        mirrors = tuple(_add_notes(notes, (*self.ages, *((_NO_DELETIONS,) if notes.mirror in pruning else ()))) for notes in plan.mirrors)
        # They are those of `bundle load`.
        applying = tuple((side, 0 if side == "destination" else count) for side, count in plan.applying)
        return replace(plan, mirrors=mirrors, applying=applying, is_for_bundle=True)


def read_other_side(have: Sequence[str], since: Sequence[str], config: Config) -> OtherSide:
    """
    Return what the files of `--have`, or the bundles of `--since`, say.

    Raises:
        BundleError: A bundle is damaged.
        UsageError: A file cannot be used, a bundle is missing, or both options are given.
    """
    if have and since:
        hint = "an inventory says what is there; a bundle that was not loaded may not be"
        raise UsageError("--have and --since exclude each other", hint=hint)
    if since:
        chain = read_chain(since)
        return OtherSide(BundleContents(hold_bundles(chain)), parent=chain[-1].id)
    files = read_have_files(have, find_name=config.registries.find_name)
    now = datetime.now(UTC)
    ages = tuple(_describe_age(path, created_at, now) for path, created_at in files.dates.items())
    return OtherSide(BundleContents(files.holdings), inventory=files.id, states=files.states, notes=tuple(_list_notes(have, files, config)), ages=ages)


class FirstSeen:
    """
    The times at which digests were first seen, for `min_age`.

    They are all that a bundle takes from the state of `--state`, and only if a mirror has a minimum age.
    """

    def __init__(self, common: CommonOptions, config: Config) -> None:
        """
        Read the state of *common*, if *config* needs it.

        Raises:
            StateError: It cannot be read.
        """
        self._common = common
        self._known: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._is_needed = any(mirror.tags.min_age_seconds is not None for mirror in config.mirrors if not mirror.suspend)
        if self._is_needed:
            with open_store(common, read_only=True) as state:
                self._known = dict(state.snapshot().notes[SEEN])

    def fill(self, store: StateStore) -> None:
        """Note in *store* what the state says."""
        store.put(seen=_list_seen(self._known))

    def collect(self, store: StateStore) -> None:
        """Take over what *store* has beyond the state."""
        if self._is_needed:
            self._found = {about: moment for about, moment in store.snapshot().notes[SEEN].items() if about not in self._known}

    def save(self) -> None:
        """
        Write what was collected to the state.

        Raises:
            LockedError: Another run has locked it.
            StateError: It cannot be written.
        """
        if self._found:
            with open_store(self._common, read_only=False) as state:
                state.put(seen=_list_seen(self._found))


def _list_seen(notes: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for about, moment in notes.items():
        repository, _, digest = about.partition(" ")
        yield repository, digest, moment


def _fill(store: StateStore, side: OtherSide) -> None:
    """Note in *store* what the other side has."""
    for snapshot in side.states:
        notes: dict[str, Any] = {kind: snapshot.notes[kind] if kind in {BLOB, REFERRERS} else {} for kind in KINDS}
        store.replace_all(_join(store.snapshot(), Snapshot(snapshot.records, notes)))
    store.put(blobs=_list_blobs(side.contents.holdings))


def _join(ours: Snapshot, theirs: Snapshot) -> Snapshot:
    # Imported now: few have a state exported.
    from imgsync.state.merge import merge

    return merge(ours, theirs).snapshot


def _list_blobs(holdings: Holdings) -> Iterator[SeenBlobs]:
    for registry, digest, held in holdings.iter_content():
        for path in held.repositories:
            yield SeenBlobs(registry, path, "", {digest: held.size_bytes})


def _list_notes(have: Sequence[str], files: HaveFiles, config: Config) -> Iterator[str]:
    for path in files.incomplete:
        yield f"{sanitize_short(path)} is not complete: what could not be read is carried again"
    wanted = {destination.registry for mirror in config.mirrors if not mirror.suspend for destination in mirror.destinations}
    known = files.holdings.registries
    if have and known and not known & wanted:
        names = ", ".join(sorted(known)[:_SHOWN])
        yield f"{', '.join(map(sanitize_short, have[:_SHOWN]))} is about {names}, where no mirror writes; everything is carried"


def _describe_age(path: str, created_at: str, now: datetime) -> str:
    moment = parse_timestamp(created_at)
    seconds = (now - moment).total_seconds() if moment is not None else -1.0
    age = f", {format_duration(seconds)} ago" if seconds >= 0 else ", by a clock that is ahead"
    return f"{sanitize_short(path)} was made at {created_at}{age}"


def _add_notes(notes: MirrorNotes, more: tuple[str, ...]) -> MirrorNotes:
    return replace(notes, notes=(*notes.notes, *more)) if more and not notes.suspended else notes
