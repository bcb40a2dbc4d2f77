"""What runs next, and when: schedules, retries, requests, and what changed."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.config.schedule import Schedule
from imgsync.filters.tags import TagFilter
from imgsync.serve.model import Hint, Request, Trigger
from tests.serve.agendas import START, Diary, mirror

_NIGHTLY = Schedule(cron="30 2 * * *", zone="Europe/Berlin")
_QUARTER = Schedule(every_seconds=900.0)


def _moments(done):
    return [moment for moment, order in done if order.trigger is Trigger.SCHEDULE]


def test_mirror_without_a_run_is_applied_at_the_start():
    """Nothing is known of it, so it is not left for an hour."""
    diary = Diary([mirror("a")])
    order = diary.take()
    assert (order.trigger, order.mirrors, order.applies) == (Trigger.START, ("a",), True)
    assert diary.take() is None


def test_mirror_that_ran_lately_is_only_planned_at_the_start():
    """The page is full, and its next run is where it was."""
    diary = Diary([mirror("a", _QUARTER)], last_runs={"a": START - timedelta(minutes=5)})
    order = diary.take()
    assert (order.trigger, order.applies) == (Trigger.START, False)
    diary.finish(order)
    assert diary.agenda.find_next_run("a") == START + timedelta(minutes=10)


def test_moment_that_passed_while_the_process_was_down_is_made_up_for():
    """Once, however many passed."""
    diary = Diary([mirror("a", _NIGHTLY)], last_runs={"a": START - timedelta(days=9)})
    assert [order.applies for order in diary.settle()] == [True]
    assert diary.agenda.find_next_run("a") == datetime(2026, 3, 2, 1, 30, tzinfo=UTC)


def test_mirror_with_a_cron_expression_waits_for_its_moment():
    """A new one is planned now, and applied at night."""
    diary = Diary([mirror("a", _NIGHTLY)])
    assert [order.applies for order in diary.settle()] == [False]
    done = diary.run_until(START + timedelta(days=1))
    assert [(moment.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M"), order.applies) for moment, order in done] == [("02:30", True)]


def test_mirrors_that_are_due_together_run_together():
    """One run has both, in the order of the declarations."""
    diary = Diary([mirror("b", _QUARTER), mirror("a", _QUARTER), mirror("later")])
    diary.settle()
    [(_, order)] = diary.run_until(START + timedelta(minutes=20))
    assert (order.trigger, order.mirrors) == (Trigger.SCHEDULE, ("b", "a"))


def test_suspended_mirror_never_runs():
    """Neither at the start nor when it is asked for."""
    diary = Diary([mirror("a", suspend=True)])
    diary.agenda.add_requests([Request(("a",)), Request()])
    assert diary.run_until(START + timedelta(days=1)) == []
    assert diary.agenda.find_next_run("a") is None


def test_nothing_is_applied_with_only_plans():
    """Every run plans, at the moments at which it would be applied."""
    diary = Diary([mirror("a", _QUARTER)], only_plans=True)
    diary.agenda.add_requests([Request(applies=True)])
    done = diary.run_until(START + timedelta(hours=1))
    assert {order.applies for _, order in done} == {False}
    assert len(_moments(done)) == 3


def test_request_comes_before_the_schedule():
    """A person waits for it."""
    diary = Diary([mirror("a"), mirror("b")])
    diary.agenda.add_requests([Request(("b",), applies=False)])
    orders = diary.settle()
    assert [(order.trigger, order.mirrors, order.applies) for order in orders] == [
        (Trigger.REQUEST, ("b",), False),
        (Trigger.START, ("a", "b"), True),
    ]


def test_request_for_what_is_not_declared_does_nothing():
    """The mirror may have been removed since it was asked for."""
    diary = Diary([mirror("a")])
    diary.settle()
    diary.agenda.add_requests([Request(("gone",))])
    assert diary.take() is None


def test_request_leaves_the_moment_of_a_cron_expression():
    """It is applied now, and at night as always."""
    diary = Diary([mirror("a", _NIGHTLY)])
    diary.settle()
    before = diary.agenda.find_next_run("a")
    diary.agenda.add_requests([Request(("a",))])
    assert [order.trigger for order in diary.settle()] == [Trigger.REQUEST]
    assert diary.agenda.find_next_run("a") == before


@pytest.mark.row("LOOP-07")
def test_failed_mirror_is_taken_up_again_with_growing_pauses():
    """After 1, 2, 4 … minutes, give or take a tenth, and not more than an hour."""
    diary = Diary([mirror("a", Schedule(every_seconds=86400.0))])
    done = diary.run_until(START + timedelta(hours=10), failed=["a"])
    pauses = [(later - earlier).total_seconds() / 60 for (earlier, _), (later, _) in pairwise(done)]
    assert pauses[:7] == [pytest.approx(wanted, rel=0.11) for wanted in (1, 2, 4, 8, 16, 32, 60)]
    assert all(pause <= 66.1 for pause in pauses)
    assert {order.trigger for _, order in done[1:]} == {Trigger.RETRY}
    assert diary.agenda.get_failures("a") == len(done)


def test_pause_is_not_longer_than_the_interval():
    """A mirror of every minute is retried every minute."""
    diary = Diary([mirror("a", Schedule(every_seconds=60.0))])
    done = diary.run_until(START + timedelta(minutes=10), failed=["a"])
    assert len(done) >= 9


def test_success_ends_the_retries():
    """The next run is that of the schedule."""
    diary = Diary([mirror("a")])
    diary.finish(diary.take(), failed=["a"])
    diary.wait(minutes=2)
    order = diary.take()
    assert order.trigger is Trigger.RETRY
    diary.finish(order)
    assert diary.agenda.get_failures("a") == 0
    assert diary.agenda.find_next_run("a") >= diary.now + timedelta(minutes=57)


def test_only_the_failed_mirrors_are_taken_up_again():
    """The others were fine."""
    diary = Diary([mirror("a"), mirror("b")])
    diary.finish(diary.take(), failed=["b"])
    [(_, order)] = diary.run_until(START + timedelta(minutes=2))
    assert (order.trigger, order.mirrors) == (Trigger.RETRY, ("b",))


def test_what_failed_together_is_taken_up_together():
    """As when the state was locked: one run, not one for each mirror."""
    names = [f"m{number}" for number in range(50)]
    diary = Diary([mirror(name) for name in names])
    diary.finish(diary.take(), failed=names)
    [(_, order)] = diary.run_until(START + timedelta(minutes=2))
    assert (order.trigger, len(order.mirrors)) == (Trigger.RETRY, 50)


def test_failed_plan_of_a_cron_mirror_is_only_planned_again():
    """Its images may not move before its moment."""
    diary = Diary([mirror("a", _NIGHTLY)])
    diary.finish(diary.take(), failed=["a"])
    [(_, order)] = diary.run_until(START + timedelta(minutes=2))
    assert (order.trigger, order.applies) == (Trigger.RETRY, False)


def test_failed_plan_in_between_leaves_the_retry_an_apply():
    """Someone asks for a plan while a nightly apply waits for its retry."""
    diary = Diary([mirror("a", _NIGHTLY)], last_runs={"a": START - timedelta(days=3)})
    order = diary.take()
    assert order.applies
    diary.finish(order, failed=["a"])
    diary.agenda.add_requests([Request(applies=False)])
    diary.finish(diary.take(), failed=["a"])
    diary.wait(minutes=3)
    order = diary.take()
    assert (order.trigger, order.applies) == (Trigger.RETRY, True)


def test_held_tag_is_copied_when_it_is_released():
    """The mirror runs then, unless its schedule comes first."""
    diary = Diary([mirror("a")])
    release = START + timedelta(minutes=7)
    diary.finish(diary.take(), releases={"a": release})
    assert diary.agenda.find_next_run("a") == release
    [(moment, order)] = diary.run_until(START + timedelta(minutes=10))
    assert (moment - release < timedelta(seconds=1), order.trigger) == (True, Trigger.SCHEDULE)


def test_held_tag_of_an_event_is_copied_when_it_is_released():
    """Not with the next run of the schedule, which may be in a day."""
    diary = Diary([mirror("a", Schedule(every_seconds=86400.0))])
    diary.settle()
    diary.wait(hours=1)
    diary.hint(Hint("s.io", "app", "2.0"))
    diary.wait(seconds=1)
    order = diary.take()
    assert order.trigger is Trigger.EVENT
    diary.finish(order, releases={"a": diary.now + timedelta(hours=2)})
    diary.wait(hours=2)
    order = diary.take()
    assert (order.trigger, order.only, order.applies) == (Trigger.SCHEDULE, (), True)


@pytest.mark.parametrize("schedule", [_NIGHTLY, Schedule(every_seconds=86400.0)], ids=["cron", "interval"])
def test_failed_part_is_retried_as_a_part(schedule):
    """The rest of the mirror waits for its own moment, which stays where it was."""
    diary = Diary([mirror("a", schedule)], last_runs={"a": START - timedelta(hours=1)})
    diary.settle()
    due_at = diary.agenda.find_next_run("a")
    for tag in ("1.0", "2.0"):
        diary.hint(Hint("s.io", "app", tag))
        diary.wait(seconds=3)
        diary.finish(diary.take(), failed=["a"])
    diary.wait(minutes=3)
    order = diary.take()
    assert (order.trigger, order.applies, [pattern.text for pattern in order.only]) == (Trigger.RETRY, True, ["a/app:1.0", "a/app:2.0"])
    diary.finish(order)
    assert (diary.agenda.get_failures("a"), diary.agenda.find_next_run("a")) == (0, due_at)


def test_failed_part_joins_the_retry_of_its_mirror():
    """The whole mirror is applied, which has the part."""
    diary = Diary([mirror("a")])
    diary.finish(diary.take(), failed=["a"])
    diary.hint(Hint("s.io", "app", "1.0"))
    diary.wait(seconds=3)
    diary.finish(diary.take(), failed=["a"])
    diary.wait(minutes=3)
    order = diary.take()
    assert (order.trigger, order.only) == (Trigger.RETRY, ())


def test_changed_mirror_is_applied_at_once_and_others_wait():
    """Only what its declaration says has changed."""
    diary = Diary([mirror("a"), mirror("b"), mirror("c", _NIGHTLY)])
    diary.settle()
    changed = [mirror(name, _NIGHTLY if name == "c" else None, tags=TagFilter(names=("2",))) for name in "bc"]
    diary.agenda.update([mirror("a"), *changed], diary.now, last_runs={})
    assert [(order.trigger, order.mirrors, order.applies) for order in diary.settle()] == [
        (Trigger.CHANGE, ("c",), False),
        (Trigger.CHANGE, ("b",), True),
    ]


def test_new_schedule_alone_runs_nothing():
    """It counts from the last run."""
    diary = Diary([mirror("a")])
    diary.settle()
    diary.wait(minutes=5)
    diary.agenda.update([mirror("a", _QUARTER)], diary.now, last_runs={})
    assert diary.take() is None
    assert diary.agenda.find_next_run("a") == START + timedelta(minutes=15)


def test_removed_mirror_is_forgotten():
    """What was due of it is not run."""
    diary = Diary([mirror("a"), mirror("b")])
    diary.agenda.update([mirror("b")], diary.now, last_runs={})
    assert [order.mirrors for order in diary.settle()] == [("b",)]


@pytest.mark.row("LOOP-06")
def test_clock_set_back_a_little_repeats_nothing():
    """The moment of the night comes again, and was served."""
    diary = Diary([mirror("a", _NIGHTLY)])
    done = diary.run_until(datetime(2026, 3, 2, 1, 40, tzinfo=UTC))
    assert len(_moments(done)) == 1
    diary.now = datetime(2026, 3, 2, 0, 50, tzinfo=UTC)
    diary.agenda.correct(diary.now)
    assert _moments(diary.run_until(datetime(2026, 3, 2, 23, 0, tzinfo=UTC))) == []


@pytest.mark.row("LOOP-06")
def test_clock_set_back_by_a_year_does_not_silence_a_mirror():
    """What was due in a year is due as the schedule says."""
    diary = Diary([mirror("a", _NIGHTLY), mirror("b", _QUARTER)])
    diary.settle()
    diary.now -= timedelta(days=365)
    diary.agenda.correct(diary.now)
    done = diary.run_until(diary.now + timedelta(days=1))
    found = Counter(name for _, order in done if order.trigger is Trigger.SCHEDULE for name in order.mirrors)
    assert found["a"] == 1
    assert found["b"] in {95, 96}


def test_run_dated_in_the_future_does_not_silence_a_mirror():
    """A clock was wrong before the process was started again; the schedule counts from now."""
    diary = Diary([mirror("a", _NIGHTLY), mirror("b", _QUARTER)], last_runs=dict.fromkeys("ab", START + timedelta(days=365)))
    diary.settle()
    assert diary.agenda.find_next_run("a") == datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    assert diary.agenda.find_next_run("b") == START + timedelta(minutes=15)


def test_new_schedule_after_a_clock_was_set_back_begins_now():
    """What ran while the clock was a year ahead says nothing about the new schedule."""
    diary = Diary([mirror("a", _NIGHTLY)], now=START + timedelta(days=365))
    diary.settle()
    diary.wait(days=1)
    diary.settle()
    diary.now = START
    diary.agenda.correct(diary.now)
    diary.agenda.update([mirror("a", Schedule(cron="0 5 * * *"))], diary.now, last_runs={})
    assert diary.agenda.find_next_run("a") == datetime(2026, 3, 2, 5, tzinfo=UTC)


@pytest.mark.row("LOOP-06")
def test_clock_set_ahead_runs_what_is_due_once():
    """Not once for each moment that it skipped."""
    diary = Diary([mirror("a", _NIGHTLY), mirror("b", _QUARTER)])
    diary.settle()
    diary.now += timedelta(days=30)
    assert [order.mirrors for order in diary.settle()] == [("a", "b")]


@pytest.mark.row("LOOP-06")
@pytest.mark.parametrize(("year", "month", "day"), [(2026, 3, 29), (2026, 10, 25)])
@given(data=st.data())
def test_no_moment_of_a_schedule_is_missed_or_doubled(year, month, day, data):
    """Over both changes of the clock, each moment has one run, whatever fails and whenever it is started again."""
    cron = data.draw(st.sampled_from(["30 2 * * *", "17 * * * *", "*/20 * * * *", "0 1,2,3 * * *", "59 1 * * 0"]))
    zone = data.draw(st.sampled_from(["Europe/Berlin", "UTC"]))
    schedule = Schedule(cron=cron, zone=zone)
    start = datetime(year, month, day, tzinfo=UTC) - timedelta(hours=data.draw(st.integers(3, 30)), minutes=data.draw(st.integers(0, 59)))
    end = start + timedelta(days=3)
    calm = _moments(_settled(schedule, start).run_until(end))
    diary, found = _settled(schedule, start), []
    for hours in sorted(data.draw(st.lists(st.integers(1, 70), max_size=4))):
        moment = start + timedelta(hours=hours, minutes=data.draw(st.integers(0, 59)))
        found += _moments(diary.run_until(max(diary.now, moment)))
        diary.agenda.correct(diary.now)
        # Started again: it knows when the mirror ran last.
        last = found[-1] if found else start
        diary = Diary([mirror("a", schedule)], now=diary.now, last_runs={"a": last}, seed=hours)
        diary.settle()
    found += _moments(diary.run_until(end))
    assert [one.replace(microsecond=0) for one in found] == [one.replace(microsecond=0) for one in calm]
    wall = [one.astimezone(ZoneInfo(zone)).strftime("%d %H:%M") for one in calm]
    if cron == "30 2 * * *":
        assert len({text.partition(" ")[0] for text in wall}) == len(wall)


def _settled(schedule, start):
    diary = Diary([mirror("a", schedule)], now=start, last_runs={"a": start})
    diary.settle()
    return diary
