"""When a state that lasts is logged again."""

from __future__ import annotations

from imgsync.fleet.repeats import Repeats


def test_intervals_grow_to_five_minutes():
    """At once, then after 10 seconds, 20, 40 and so on; from the start once it is over."""
    repeats = Repeats()

    assert [now for now in range(1200) if repeats.is_due(now)] == [0, 10, 30, 70, 150, 310, 610, 910]
    repeats.end()
    assert [now for now in range(1200, 1220) if repeats.is_due(now)] == [1200, 1210]


def test_first_message_can_wait():
    """What is over before is not logged."""
    repeats = Repeats(after_seconds=10)

    assert [now for now in range(35) if repeats.is_due(now)] == [10, 20]
