"""What runs bring is what the board shows."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from imgsync.apply.report import Outcome, Report, Result, make_unchanged_outcome
from imgsync.config.model import Config, RegistriesConfig, Source
from imgsync.config.only_pattern import OnlyPattern
from imgsync.config.schedule import Schedule
from imgsync.documents.json_stream import to_json
from imgsync.documents.plan import decode_plan, encode_plan
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.kept_changes import KeptChanges
from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError
from imgsync.serve.agenda import Agenda
from imgsync.serve.history import History
from imgsync.serve.live_board import LiveBoard, describe_source
from imgsync.serve.model import RunOrder, RunResult, Trigger
from imgsync.serve.record_run import record_run
from imgsync.serve.views import ConfigurationView, MirrorState, TagState
from tests.serve.agendas import HOUR, START, mirror

_OLD, _NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


class Quiet:
    """A log that says nothing."""

    def debug(self, _: str, **__: object) -> None: ...

    info = warning = error = debug


def change(action: Action, tag: str, name: str = "a", **more) -> Change:
    source, destination = Reference(Repository("s.io", "app"), tag, ""), Reference(Repository("d.io", f"{name}/app"), tag, "")
    held = None if action is Action.CREATE else _OLD
    return Change(action, name, source, _OLD if action is Action.KEEP else _NEW, destination, held, "x/y", 10, "why", **more)


def plan(*changes: Change, errors=(), gone=(), name: str = "a") -> Plan:
    kept = KeptChanges(name)
    kept.update(one for one in changes if one.action is Action.KEEP)
    notes = MirrorNotes(name, "s.io", ("d.io",), "mirrors.d/a.yaml", 3)
    return Plan(tuple(one for one in changes if one.action is not Action.KEEP), errors=errors, mirrors=(notes,), kept=(kept,), gone=gone)


def report(made: Plan, results: dict[str, Result]) -> Report:
    """Return the report of applying *made*, with a result for each tag that changes."""
    outcomes = tuple(
        Outcome(one, results[one.source.tag], error="no space left" if results[one.source.tag] is Result.FAILED else None)
        if one.source.tag in results
        else make_unchanged_outcome(one)
        for one in made.changes
    )
    return Report("1", outcomes, errors=made.errors, gone=made.gone)


class Desk:
    """A board with two mirrors, and what writes it."""

    def __init__(self) -> None:
        self.agenda = Agenda(every=HOUR, only_plans=False, chance=random.Random(0), make_id=str)
        self.history = History(None, clean=lambda value: value, on_damaged=print)
        view = ConfigurationView("mirrors.d")
        self.board = LiveBoard(self.agenda, self.history, configuration=view, started_at=START, only_plans=False, count_waiting=lambda: 0)
        mirrors = [mirror("a"), mirror("b", Schedule(cron="17 3 * * *")), mirror("off", suspend=True)]
        self.agenda.update(mirrors, START, last_runs={})
        self.board.set_mirrors(mirrors)
        self.moment = START

    def run(self, made: Plan | None, results: dict[str, Result] | None = None, *, only=(), error: str = "", exit_code: int = 0) -> None:
        """Take over a run of the mirror a, which was applied if it has *results*."""
        self.moment += timedelta(minutes=1)
        order = RunOrder(f"run-{self.moment:%H%M}", Trigger.SCHEDULE, ("a",), applies=results is not None, only=only)
        applied = report(made, results) if made is not None and results is not None else None
        result = RunResult(order, self.moment, self.moment, plan=made, report=applied, error=error, exit_code=exit_code)
        record_run(result, board=self.board, agenda=self.agenda, history=self.history, log=Quiet())

    def states(self) -> dict[str, TagState]:
        """Return the state of each tag of the mirror a."""
        return {tag.source.partition(":")[2]: tag.state for tag in self.board.find_tags("a")}


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (Source("s.io", repositories=("team/app",)), "s.io/team/app"),
        (Source("s.io", namespaces=("team",)), "s.io/team"),
        (Source("s.io", namespaces=("",)), "s.io"),
        (Source("s.io", namespaces=("team",), repositories=("a",)), "s.io"),
    ],
)
def test_source_is_as_exact_as_one_line_can_be(source, shown):
    """The repository or namespace if there is one, else the registry."""
    assert describe_source(source) == shown


def test_mirrors_before_the_first_run(desk):
    """They are unchecked or suspended, and say when they run."""
    assert [(one.name, one.state, one.schedule) for one in desk.board.list_mirrors()] == [
        ("a", MirrorState.UNCHECKED, "every 1h"),
        ("b", MirrorState.UNCHECKED, "17 3 * * * (UTC)"),
        ("off", MirrorState.SUSPENDED, "every 1h"),
    ]
    assert desk.board.find_mirror("off").next_run is None
    assert desk.board.find_mirror("none") is desk.board.find_tags("none") is None


def test_plan_shows_what_is_to_come(desk):
    """Each action is a state; the worst is the mirror's."""
    tag = GoneTag("a", change(Action.KEEP, "6").source, change(Action.KEEP, "6").destination, _OLD, None, "not in the list of tags")
    held = change(Action.HOLD, "3", held_until="2026-12-01T00:00:00Z")
    desk.run(plan(change(Action.CREATE, "1"), change(Action.KEEP, "2"), held, change(Action.REFUSE, "4"), change(Action.DELETE, "5"), gone=(tag,)))
    assert desk.states() == {
        "1": TagState.PENDING,
        "2": TagState.IN_STEP,
        "3": TagState.HELD,
        "4": TagState.REFUSED,
        "5": TagState.PENDING,
        "6": TagState.GONE,
    }
    found = desk.board.find_mirror("a")
    assert (found.state, found.checked_at, found.last_run) == (MirrorState.REFUSED, desk.moment, "run-1201")


def test_apply_moves_tags_to_their_states(desk):
    """Copied is in step, deleted is away, failed and remaining are what they are."""
    made = plan(*(change(Action.CREATE, tag) for tag in "123"), change(Action.DELETE, "4"), change(Action.KEEP, "5"))
    desk.run(made, {"1": Result.COPIED, "2": Result.FAILED, "3": Result.REMAINING, "4": Result.DELETED}, exit_code=1)
    assert desk.states() == {"1": TagState.IN_STEP, "2": TagState.FAILING, "3": TagState.PENDING, "5": TagState.IN_STEP}
    [failing] = [tag for tag in desk.board.find_tags("a") if tag.state is TagState.FAILING]
    assert failing.reason == "no space left"
    assert desk.board.find_mirror("a").failures == 1


def test_failure_stays_until_it_is_applied_again(desk):
    """A plan in between knows nothing of it, and shows since when it fails."""
    made = plan(change(Action.CREATE, "1"))
    desk.run(made, {"1": Result.FAILED}, exit_code=1)
    [before] = desk.board.find_tags("a")
    desk.run(plan(change(Action.CREATE, "1")))
    [after] = desk.board.find_tags("a")
    assert after == before
    desk.run(plan(change(Action.CREATE, "1")), {"1": Result.COPIED})
    assert desk.board.find_mirror("a").state is MirrorState.IN_STEP


def test_part_leaves_the_rest_as_it_was(desk):
    """Only what the run saw is new; the mirror was not checked as a whole."""
    desk.run(plan(*(change(Action.KEEP, tag) for tag in "123")))
    checked = desk.board.find_mirror("a").checked_at
    part = (OnlyPattern("a/app:2", "a", "app", "2"),)
    desk.run(plan(change(Action.UPDATE, "2")), {"2": Result.COPIED}, only=part)
    [moved] = [tag for tag in desk.board.find_tags("a") if tag.source.endswith(":2")]
    assert (moved.state, moved.digest) == (TagState.IN_STEP, _NEW)
    assert desk.board.find_mirror("a").counts == {TagState.IN_STEP: 3}
    assert desk.board.find_mirror("a").checked_at == checked
    assert desk.board.list_runs()[0].is_partial


def test_error_of_a_mirror_keeps_what_was_seen(desk):
    """A source that cannot be listed does not empty the page."""
    desk.run(plan(*(change(Action.KEEP, tag) for tag in "12"), change(Action.CREATE, "3")))
    desk.run(plan(change(Action.KEEP, "1"), errors=(PlanError("a", "s.io/app", "cannot connect", "check it"),)), exit_code=1)
    assert desk.states() == {"1": TagState.IN_STEP, "2": TagState.IN_STEP, "3": TagState.PENDING}
    found = desk.board.find_mirror("a")
    assert (found.state, found.errors[0].message) == (MirrorState.FAILING, "cannot connect")
    desk.run(plan(change(Action.KEEP, "1")))
    assert (desk.states(), desk.board.find_mirror("a").state) == ({"1": TagState.IN_STEP}, MirrorState.IN_STEP)


def test_run_that_failed_as_a_whole_is_a_problem(desk):
    """Tags stay as seen; the next good run ends it."""
    desk.run(plan(change(Action.KEEP, "1")))
    desk.run(None, error="the state is locked by another run", exit_code=75)
    assert desk.board.problems == ("the state is locked by another run",)
    assert desk.states() == {"1": TagState.IN_STEP}
    assert desk.board.find_mirror("a").failures == 1
    desk.run(plan(change(Action.KEEP, "1")), {})
    assert desk.board.problems == ()


def test_plan_as_it_stands_is_a_document(desk):
    """It can be encoded, and read as one that `imgsync plan` saved."""
    tag = GoneTag("a", change(Action.KEEP, "6").source, change(Action.KEEP, "6").destination, _OLD, None, "not in the list of tags")
    desk.run(plan(change(Action.CREATE, "1"), change(Action.CREATE, "0"), change(Action.KEEP, "2"), change(Action.DELETE, "5"), gone=(tag,)))
    stands = desk.board.make_plan()
    assert (len(stands.pending), stands.counts["keep"], stands.gone, stands.transfer_bytes) == (3, 1, (tag,), 20)
    assert [one.action.value for one in stands.iter_changes()] == ["delete", "create", "create", "keep"]
    document = json.loads(to_json(encode_plan(stands, Config((), RegistriesConfig()), explain=False), indented=False))
    assert decode_plan(document, name="plan").counts == stands.counts


def test_removed_mirror_leaves_the_board(desk):
    """What is declared again later begins anew; one whose declaration changed keeps its tags."""
    desk.run(plan(change(Action.KEEP, "1")))
    version = desk.board.version
    desk.board.set_mirrors([mirror("a", description="changed")])
    assert [one.name for one in desk.board.list_mirrors()] == ["a"]
    assert desk.states() == {"1": TagState.IN_STEP}
    assert desk.board.version > version
    desk.board.set_successes({"a": datetime(2026, 1, 1, tzinfo=UTC), "gone": START})
    assert desk.board.find_mirror("a").last_success == datetime(2026, 1, 1, tzinfo=UTC)


def test_pushed_digest_is_what_is_in_step(desk):
    """Without some platforms, the destination serves another digest than the source."""
    made = plan(replace(change(Action.CREATE, "1"), pushed_digest=_OLD))
    desk.run(made, {"1": Result.COPIED})
    assert next(iter(desk.board.find_tags("a"))).digest == _OLD


def test_release_that_a_run_could_not_see_does_not_begin_the_next(desk):
    """Its repository cannot be listed: the retry has its pause, and does not follow at once."""
    while desk.agenda.take(START, 0.0) is not None:
        pass
    desk.run(plan(change(Action.HOLD, "3", held_until="2026-03-01T12:02:00Z")), {})
    desk.moment += timedelta(minutes=5)
    desk.run(plan(errors=(PlanError("a", "s.io/app", "unreachable", "it is asked again"),)), {}, exit_code=1)
    assert desk.states() == {"3": TagState.HELD}
    assert desk.board.find_mirror("a").next_run > desk.moment + timedelta(seconds=30)


def test_changed_mirror_is_unchecked_until_its_next_plan(desk):
    """What was in step as it was declared before may not be now."""
    desk.run(plan(change(Action.KEEP, "1")))
    desk.board.set_mirrors([mirror("a", Schedule(every_seconds=60.0))])
    assert desk.board.find_mirror("a").state is MirrorState.IN_STEP
    desk.board.set_mirrors([mirror("a", repositories=["app", "other"])])
    assert desk.board.find_mirror("a").state is MirrorState.UNCHECKED
    desk.run(plan(change(Action.KEEP, "1")))
    assert desk.board.find_mirror("a").state is MirrorState.IN_STEP
