"""The steps in which a run stops."""

from __future__ import annotations

import time

import pytest

from imgsync.concurrency.deadline import Deadline, stream_chunks
from imgsync.concurrency.stop import Stop
from imgsync.errors import StoppedError


def steps(stop: Stop) -> tuple[bool, bool, bool]:
    return stop.is_closed, stop.is_requested, stop.is_cancelled


def test_each_step_of_a_stop_includes_those_before_it():
    """Closed, requested, cancelled."""
    closed, requested, cancelled = Stop(), Stop(), Stop()
    closed.close("time is up")
    requested.request("interrupted", interrupted=True)
    cancelled.cancel()

    assert [steps(stop) for stop in (Stop(), closed, requested, cancelled)] == [
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    ]
    assert [stop.is_interrupted for stop in (closed, requested, cancelled)] == [False, True, False]


def test_closed_stop_lets_planning_continue():
    """Only a requested one ends it, with the reason that was given first."""
    stop = Stop()
    stop.close("the run's time is up")
    stop.raise_if_requested()
    stop.request("interrupted")

    with pytest.raises(StoppedError, match="stopped: the run's time is up"):
        stop.raise_if_requested()


def test_stop_is_cancelled_after_its_grace():
    """What runs then ends at its next chunk, and after another second it is not waited for."""
    stop = Stop()
    deadline = Deadline(None, stop=stop)
    stop.request("interrupted", grace_seconds=0.05)
    deadline.check()

    chunks = stream_chunks((b"x" * (1 << 20) for _ in range(1_000_000)), deadline=deadline, on_bytes=lambda size: None)
    with pytest.raises(StoppedError, match="stopped: interrupted"):
        for _ in chunks:
            pass

    assert (stop.is_cancelled, stop.is_overdue) == (True, False)


def test_deadline_says_what_took_too_long_and_what_to_do():
    """The error shows the limit and its setting."""
    deadline = Deadline(0.0, what="r.io/app:1")

    time.sleep(0.001)

    with pytest.raises(StoppedError, match=r"r\.io/app:1 took longer than 0s") as raised:
        deadline.check()

    assert raised.value.hint == "raise timeouts.image"
