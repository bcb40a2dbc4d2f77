"""Many events at once."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from imgsync.serve.events.model import BODY_LIMIT
from tests.support.events import SECRET, Receiver, encode, pushed

REPOSITORIES = 100
EVENTS = 10_000


@pytest.mark.row("EVT-04")
def test_ten_thousand_events_are_a_few_hints():
    """A tag waits once, however often it is pushed; memory is bounded, and each answer takes little CPU time."""
    receiver = Receiver()
    bodies = [encode(pushed(f"team/app{number % REPOSITORIES}", "latest", number=number)) for number in range(EVENTS)]
    tracemalloc.start()
    longest = 0.0
    for body in bodies:
        began = time.thread_time()
        assert receiver.send(body, headers={"Authorization": SECRET}).status == 202
        longest = max(longest, time.thread_time() - began)
        receiver.log.lines.clear()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(receiver.hints()) == REPOSITORIES
    assert kept < 8 << 20
    assert longest < 0.1


@pytest.mark.row("EVT-04")
def test_events_for_ever_more_tags_are_widened():
    """Past 10,000 that wait, to repositories."""
    receiver = Receiver()
    for number in range(12_000):
        receiver.send(pushed(f"team/app{number % REPOSITORIES}", f"v{number}", number=number), headers={"Authorization": SECRET})
        receiver.log.lines.clear()
        receiver.seen.clear()

    hints = receiver.hints()
    assert len(hints) < 10_000
    assert {f"team/app{number}" for number in range(REPOSITORIES)} <= set(hints)


@pytest.mark.row("EVT-01")
def test_forged_and_broken_events_select_nothing():
    """A thousand of them: no hint, so nothing that could ask a registry."""
    receiver = Receiver()
    whole = encode(pushed())
    for number in range(250):
        receiver.send(whole, headers={"Authorization": f"{SECRET}{number}"})
        receiver.send(whole[: number % len(whole)], headers={"Authorization": SECRET})
        receiver.send(b"x" * (BODY_LIMIT + 1), headers={"Authorization": SECRET})
        receiver.send(whole, path=SECRET, name=f"other{number}")

    assert receiver.seen == []
    assert receiver.hints() == []
    assert sum(receiver.counts["one"].refused.values()) == 750
