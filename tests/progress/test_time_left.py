"""The time left is steady, whatever comes first."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from imgsync.progress.time_left import TimeLeft

# Phases as recorded from runs: seconds, bytes and requests of each second. `rate: 10/s` holds small images back, the network large ones.
SMALL = (480, 42_000, 10)
LARGE = (200, 50_000_000, 1)
EVEN = (300, 30_000_000, 20)
SLOW = (600, 300_000, 2)


def estimates(*phases: tuple[int, int, int]) -> Iterator[tuple[int, float | None]]:
    """Yield the true and the estimated time left, each second."""
    now, moved, requests = 0, 0, 0
    ends, all_bytes, all_requests = (sum(phase[0] * (1, *phase[1:])[field] for phase in phases) for field in range(3))
    left = TimeLeft(lambda: float(now))
    left.observe(0, 0)
    for seconds, each_bytes, each_requests in phases:
        for _ in range(seconds):
            now, moved, requests = now + 1, moved + each_bytes, requests + each_requests
            left.observe(moved, requests)
            yield ends - now, left.estimate(all_bytes - moved, all_requests - requests)


@pytest.mark.parametrize("phases", [(EVEN,), (SLOW,)], ids=["even", "slow"])
def test_even_run_is_estimated_from_the_third_second(phases):
    """Not before it says something, and then right."""
    found = list(estimates(*phases))

    assert [known for _, known in found[:2]] == [None, None]
    assert all(known == pytest.approx(true, rel=0.01, abs=0.1) for true, known in found[2:])


@pytest.mark.parametrize("phases", [(SMALL, LARGE), (LARGE, SMALL), (SMALL, LARGE, SMALL)], ids=["small first", "large first", "small, large, small"])
def test_other_images_later_do_not_surprise(phases):
    """The order of magnitude is right from the beginning, and the number soon after the last change."""
    found = list(estimates(*phases))[2:]

    assert all(known is not None and true / 6 <= known <= 3 * true for true, known in found)
    assert all(known == pytest.approx(true, rel=0.05, abs=1) for true, known in found if true < phases[-1][0] - 60)


def test_estimate_moves_in_small_steps():
    """A second later it is about a second less, but at a change."""
    known = [known for _, known in estimates(SMALL, LARGE) if known is not None]
    jumps = [(number, before - after) for number, (before, after) in enumerate(pairwise(known)) if abs(before - after) > 3]

    assert all(475 < number < 500 for number, _ in jumps)


def test_nothing_is_estimated_while_nothing_moves():
    """A stall has no end that can be known."""
    *_, (_, known) = estimates(EVEN, (20, 0, 0), EVEN)
    stalled = [known for true, known in estimates(EVEN, (20, 0, 0), EVEN) if 300 < true <= 308]

    assert known == pytest.approx(0, abs=1)
    assert set(stalled) == {None}


def test_bytes_that_move_again_are_no_progress():
    """A retried blob counts its bytes off."""
    moments = iter((0.0, 1.0, 2.0, 4.0))
    left = TimeLeft(lambda: next(moments))
    for moved in (0, 9_000_000, 0, 0):
        left.observe(moved, 1)

    assert left.estimate(1, 0) is None
