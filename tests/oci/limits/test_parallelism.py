"""The arithmetic of the limit on parallel requests, on simulated registries."""

from __future__ import annotations

import heapq
import itertools
import random

import pytest

from imgsync.oci.limits.parallelism import START, Parallelism


class Simulation:
    """
    A registry with some processors behind a line, and a client that always has something to ask.

    Each request needs a round trip and a turn on a processor. Time is a number here.
    """

    def __init__(self, limit: Parallelism, *, round_trip: float, service: float, processors: int = 1, refuses_above: int = 10**6, seed: int = 0):
        self.limit = limit
        self.round_trip, self.service, self.refuses_above = round_trip, service, refuses_above
        self.now = 0.0
        self.running = self.refused = 0
        self.most_running = 0
        self._free = [0.0] * processors
        self._answers: list[tuple[float, int, float, int, bool]] = []
        self._number = itertools.count()
        self._random = random.Random(seed)

    def run(self, requests: int, *, at_once: int = 10**6) -> float:
        """Send so many requests as fast as the limit allows; return how long it takes."""
        began, left = self.now, requests
        while left or self._answers:
            while left and self.running < min(self.limit.allowed, at_once):
                self._send()
                left -= 1
            left += self._take_answer()
        return self.now - began

    def _send(self) -> None:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        is_refused = self.running > self.refuses_above
        done = self.now + self.round_trip
        if not is_refused:
            begins = max(self.now + self.round_trip / 2, heapq.heappop(self._free))
            finished = begins + self.service * self._random.uniform(0.5, 1.5)
            heapq.heappush(self._free, finished)
            done = finished + self.round_trip / 2
        heapq.heappush(self._answers, (done, next(self._number), self.now, self.limit.generation, is_refused))

    def _take_answer(self) -> int:
        """Take the next response; return 1 if the request must be sent again."""
        self.now, _, sent, generation, is_refused = heapq.heappop(self._answers)
        if is_refused:
            self.refused += 1
            self.limit.note_refusal(generation, self.running)
        else:
            self.limit.note_response(generation, self.running, kind="pull manifest", seconds=self.now - sent)
        self.running -= 1
        return int(is_refused)


def test_far_registry_gets_all_that_is_allowed():
    """It takes few round trips more than starting at the ceiling, and stays there."""
    far = Simulation(Parallelism(64), round_trip=0.08, service=0.001)
    assert far.run(600) <= 1.15 * (600 / 64 + 1) * (0.08 + 0.064 / 2)
    assert far.limit.allowed == 64


@pytest.mark.parametrize("requests", [1, 8, 16, 40, 100])
def test_short_run_is_not_slowed_by_the_start(requests):
    """At most two round trips more than with all requests at once."""
    far = Simulation(Parallelism(64), round_trip=0.08, service=0.0001, processors=4)
    at_best = -(-requests // 64) * 0.08
    assert far.run(requests) <= at_best + 2 * 0.085


def test_near_and_busy_registry_keeps_a_low_limit():
    """Where each request waits for the others, the limit stays near its start."""
    near = Simulation(Parallelism(64), round_trip=0.0002, service=0.002)
    near.run(2000)
    assert START <= near.limit.allowed <= 32
    # Sixteen keep the processor busy: more would not be faster.
    assert near.run(1000) <= 1.05 * 1000 * 0.002


def test_many_processors_near_by_are_all_used():
    """A fast line to a large registry, whose answers take a while."""
    large = Simulation(Parallelism(64), round_trip=0.001, service=0.05, processors=200)
    large.run(1000)
    assert large.limit.allowed == 64


def test_registry_that_slows_down_gets_fewer_and_recovers():
    """Its latency rises to five times; later it is as quick as before."""
    far = Simulation(Parallelism(64), round_trip=0.08, service=0.001, processors=4)
    far.run(600)
    assert far.limit.allowed == 64
    far.service = 0.02
    far.run(600)
    assert far.limit.allowed <= 40
    far.service = 0.001
    far.run(1500)
    assert far.limit.allowed == 64


@pytest.mark.parametrize("seed", range(5))
def test_unsteady_latency_never_costs_more_than_the_start(seed):
    """Answers of 20 and of 200 ms, mixed: latency alone does not go below the start."""
    limit, dice = Parallelism(64), random.Random(seed)
    for _ in range(5000):
        limit.note_response(limit.generation, limit.allowed, kind="pull manifest", seconds=dice.choice((0.02, 0.2)))
        assert limit.allowed >= START


def test_kinds_of_requests_are_not_compared_with_each_other():
    """A slow kind after a quick one is not a slow registry."""
    limit = Parallelism(64)
    for _ in range(40):
        limit.note_response(limit.generation, limit.allowed, kind="check manifest", seconds=0.01)
    for _ in range(200):
        limit.note_response(limit.generation, limit.allowed, kind="push manifest", seconds=0.3)
    assert limit.allowed == 64


def test_one_long_answer_changes_nothing():
    """As after a pause of the registry, or of this machine."""
    limit = Parallelism(64)
    for number in range(400):
        limit.note_response(limit.generation, limit.allowed, kind="pull manifest", seconds=60.0 if number % 100 == 99 else 0.1)
    assert limit.allowed == 64


def test_limit_that_is_not_used_does_not_grow():
    """One request after another shows nothing about many at once."""
    limit = Parallelism(64)
    for _ in range(1000):
        limit.note_response(limit.generation, 1, kind="pull manifest", seconds=0.1)
    assert limit.allowed == START


@pytest.mark.parametrize("ceiling", [1, 2, 5, 16, 17, 64])
def test_ceiling_is_never_exceeded(ceiling):
    """What is declared holds."""
    near = Simulation(Parallelism(ceiling), round_trip=0.05, service=0.0001, processors=100)
    near.run(500)
    assert near.most_running <= ceiling
    assert near.limit.allowed == ceiling


@pytest.mark.row("NET-01")
def test_refusals_halve_once_and_the_limit_settles_below_them():
    """A registry that serves ten at once: few refusals, and little time is lost."""
    limited = Simulation(Parallelism(64), round_trip=0.08, service=0.0001, processors=10, refuses_above=10)
    seconds = limited.run(2000)
    assert limited.refused <= 200
    assert seconds <= 1.3 * 2000 / 10 * 0.08


@pytest.mark.row("NET-01")
def test_all_refusals_of_one_generation_count_once():
    """Thirty-two were under way when the first was refused."""
    limit = Parallelism(32)
    for _ in range(64):
        limit.note_response(limit.generation, limit.allowed)
    assert limit.allowed == 32
    began = limit.generation
    for running in range(32, 0, -1):
        limit.note_refusal(began, running)
    assert limit.allowed == 16
    # Half of what ran, not of what might have run.
    limit.note_refusal(limit.generation, 6)
    assert limit.allowed == 3
    for _ in range(5):
        limit.note_refusal(limit.generation, 1)
    assert limit.allowed == 1


def test_growth_after_a_refusal_is_one_per_round():
    """A registry that refused is not pressed again at once."""
    limit = Parallelism(64)
    limit.note_refusal(limit.generation, 16)
    for before in range(8, 20):
        for _ in range(before + 1):
            limit.note_response(limit.generation, limit.allowed)
        assert limit.allowed <= before + 1


def test_expected_number_is_known_while_it_doubles():
    """Connections are opened for the next round, never for more than the ceiling, and not after a refusal."""
    limit, low = Parallelism(64), Parallelism(20)
    assert (limit.expected, low.expected) == (2 * START, 20)
    limit.note_refusal(limit.generation, 16)
    assert limit.expected == limit.allowed == 8
