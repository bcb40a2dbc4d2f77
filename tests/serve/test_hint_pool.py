"""Hints: at once if calm, together in a storm, and never without bounds."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.filters.tags import TagFilter
from imgsync.serve import hint_pool
from imgsync.serve.hint_pool import HintPool
from imgsync.serve.model import Hint, Trigger
from imgsync.serve.select_parts import PartSelector
from tests.serve.agendas import Diary, mirror


def hint(repository: str = "app", tag: str = "1") -> Hint:
    return Hint("s.io", repository, tag)


def test_first_hint_waits_only_a_moment():
    """In that moment the others of the same push come."""
    pool = HintPool()
    pool.add([hint()], 10.0)
    assert pool.find_wait(10.0) == pytest.approx(0.1)
    pool.add([hint(tag="2")], 10.05)
    assert pool.take(10.05) == []
    assert pool.take(10.1) == [hint(), hint(tag="2")]
    assert pool.find_wait(10.1) == math.inf


def test_repository_runs_every_two_seconds_at_most():
    """What came meanwhile runs together then; another repository does not wait."""
    pool = HintPool()
    pool.add([hint()], 0.0)
    pool.take(0.1)
    pool.add([hint(tag="2"), hint("other")], 0.2)
    assert pool.take(0.31) == [hint("other")]
    pool.add([hint(tag="3")], 1.0)
    assert pool.take(2.0) == []
    assert pool.take(2.1) == [hint(tag="2"), hint(tag="3")]


@pytest.mark.row("LOOP-08")
def test_storm_is_one_run_after_its_end():
    """A thousand events in a second wait until none has come for two seconds."""
    pool = HintPool()
    for number in range(1000):
        pool.add([hint(f"r{number % 7}", str(number % 5))], number / 1000)
        assert pool.take(number / 1000) == []
    assert pool.take(2.5) == []
    taken = pool.take(3.0)
    assert Counter(one.repository for one in taken) == {f"r{number}": 5 for number in range(7)}


@pytest.mark.row("LOOP-08")
def test_storm_without_end_runs_every_quarter_minute():
    """Nothing waits for ever."""
    pool = HintPool()
    runs = []
    for number in range(4000):
        moment = number / 100
        pool.add([hint(tag=str(number % 9))], moment)
        if pool.take(moment):
            runs.append(moment)
    assert runs == [pytest.approx(0.1, abs=0.02), pytest.approx(15.1, abs=0.1), pytest.approx(30.1, abs=0.1)]


@pytest.mark.row("LOOP-08")
def test_more_places_than_the_limit_become_their_registry(monkeypatch):
    """Memory stays bounded, and nothing is lost."""
    monkeypatch.setattr(hint_pool, "_PLACES_LIMIT", 10)
    pool = HintPool()
    pool.add([hint(f"r{number}") for number in range(100)], 0.0)
    assert len(pool) == 11
    assert Hint("s.io", "", "") in pool.take(5.0)


def test_many_tags_of_a_repository_become_the_repository():
    """Above twenty, all of it is planned."""
    pool = HintPool()
    pool.add([hint(tag=str(number)) for number in range(30)], 0.0)
    assert pool.take(5.0) == [hint(tag="")]


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3), st.integers(0, 30)), max_size=120))
def test_no_hint_is_lost_and_no_repository_runs_too_often(arrivals):
    """Each hint is in a run after it came; runs about a repository are two seconds apart."""
    pool, moment, due, runs = HintPool(), 0.0, {}, {}
    for pause, repository, tag in arrivals:
        moment += pause
        pool.add([hint(f"r{repository}", str(tag))], moment)
        due[f"r{repository}", str(tag)] = moment
        _run(pool, moment, due, runs)
    for _ in range(200):
        moment += 0.1
        _run(pool, moment, due, runs)
    assert due == {}
    assert len(pool) == 0


def _run(pool, moment, due, runs):
    taken = pool.take(moment)
    for repository in {one.repository for one in taken}:
        assert moment - runs.get(repository, -math.inf) >= 2.0 - 1e-9
        runs[repository] = moment
    for one in taken:
        for key in [key for key in due if key[0] == one.repository and one.tag in {"", key[1]}]:
            del due[key]


def test_event_runs_the_part_that_it_names():
    """Only the mirrors that select it, and of them only the tag."""
    diary = Diary([mirror("a"), mirror("b", repositories=["other"]), mirror("c", tags=TagFilter(names=("9",)))])
    diary.settle()
    diary.hint(hint())
    diary.wait(seconds=0.2)
    order = diary.take()
    assert (order.trigger, order.mirrors, [pattern.text for pattern in order.only]) == (Trigger.EVENT, ("a",), ["a/app:1"])


def test_event_never_changes_the_schedule():
    """The full run comes when it would have come."""
    diary = Diary([mirror("a")])
    diary.settle()
    before = diary.agenda.find_next_run("a")
    for _ in range(5):
        diary.hint(hint())
        diary.wait(seconds=3)
        assert [order.trigger for order in diary.settle()] == [Trigger.EVENT]
    assert diary.agenda.find_next_run("a") == before


@pytest.mark.row("LOOP-08")
def test_events_do_not_starve_the_schedule():
    """Between two runs of events, what is due has its turn."""
    diary = Diary([mirror("a", repositories=["app"]), mirror("b", repositories=["other"])])
    diary.settle()
    diary.wait(hours=2)
    found = []
    for _ in range(4):
        diary.hint(hint())
        diary.wait(seconds=2.2)
        order = diary.take()
        diary.finish(order)
        found.append(order.trigger)
    assert found[:2] == [Trigger.EVENT, Trigger.SCHEDULE]


def test_parts_of_a_mirror_have_a_limit():
    """Above fifty, the whole mirror is planned."""
    many = [f"r{number}" for number in range(60)]
    selector = PartSelector([mirror("a", repositories=many), mirror("b", repositories=many[:3])])
    found = selector.select(hint(name) for name in many)
    assert found.mirrors == ("a", "b")
    assert [pattern.mirror for pattern in found.only] == ["b", "b", "b"]


def test_hint_for_what_nobody_mirrors_selects_nothing():
    """Neither another registry, nor an excluded or unknown repository, nor a tag that is not declared."""
    selector = PartSelector([mirror("a", tags=TagFilter(names=("1",))), mirror("off", suspend=True, repositories=["off"])])
    assert selector.has(hint())
    assert not any(map(selector.has, [hint(tag="2"), hint("other"), hint("off"), Hint("x.io", "app", "1")]))
