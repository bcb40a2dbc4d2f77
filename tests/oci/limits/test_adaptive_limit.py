"""The limit that follows a registry's complaints, and the pulls that are left."""

from __future__ import annotations

import contextlib

import pytest

from imgsync.errors import BudgetSpentError
from imgsync.oci.limits.adaptive_limit import AdaptiveLimit
from imgsync.oci.limits.pull_limit import PullLimit, PullQuota


def nothing() -> None:
    """Nothing ends the waiting."""


def test_complaints_halve_and_quiet_grows_back():
    """One complaint per round counts; the limit recovers one by one, never above what is declared, never below one."""
    limit = AdaptiveLimit(16)
    with contextlib.ExitStack() as places:
        slots = [places.enter_context(limit.slot(nothing)) for _ in range(16)]
        for slot in slots:
            limit.decrease(slot)
        assert limit.allowed == 8
    for _ in range(10):
        with limit.slot(nothing) as slot:
            limit.decrease(slot)
    assert limit.allowed == 1
    rounds = 0
    while limit.allowed < 16:
        limit.increase()
        rounds += 1
    assert 100 < rounds < 200
    limit.increase()
    assert limit.allowed == 16


def test_waiting_for_a_place_can_be_ended():
    """Who waits is asked whether to go on."""
    limit = AdaptiveLimit(1)

    def give_up() -> None:
        raise TimeoutError

    with limit.slot(nothing), pytest.raises(TimeoutError), limit.slot(give_up):
        pass


@pytest.mark.parametrize("headers", [{}, {"ratelimit-remaining": "junk"}, {"ratelimit-remaining": ""}, {"ratelimit-limit": "100;w=21600"}])
def test_what_says_nothing_limits_nothing(headers):
    """No header, no limit."""
    budget = PullLimit("docker.io")
    budget.update(headers, before=None)

    budget.acquire(nothing)

    assert budget.quota is None


def test_pulls_are_spent_with_those_in_flight():
    """Two left: two may go, also before their answers came."""
    budget = PullLimit("docker.io")
    budget.update({"ratelimit-remaining": "2;w=21600", "ratelimit-limit": "100;w=21600"}, before=None)
    budget.acquire(nothing)
    budget.acquire(nothing)

    with pytest.raises(BudgetSpentError) as caught:
        budget.acquire(nothing)

    assert "the pull limit of docker.io is used up: 2 of 100 pulls left (per 6h00m)" in caught.value.message


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown when asked"])
def test_answer_that_was_overtaken_gives_back_nothing(known):
    """It says no more than was left when it was asked for, though nothing else is in flight any more; who says more has a new window."""
    budget = PullLimit("docker.io")
    if known:
        budget.update({"ratelimit-remaining": "2"}, before=None)
    before = budget.quota
    budget.update({"ratelimit-remaining": "0"}, before=before)

    budget.update({"ratelimit-remaining": "1"}, before=before)

    with pytest.raises(BudgetSpentError):
        budget.acquire(nothing)
    budget.update({"ratelimit-remaining": "100"}, before=budget.quota)
    budget.acquire(nothing)
    assert budget.quota == PullQuota(100)
