"""A server that answers nothing for long is asked no more; a short failure changes nothing."""

from __future__ import annotations

import pytest

from imgsync.errors import UnreachableError
from imgsync.oci.errors import Operation
from imgsync.oci.limits import silence as module
from imgsync.oci.limits.retry import is_transient
from imgsync.oci.limits.silence import Silence
from imgsync.oci.sender import check_silence

_OPERATION = Operation("resolve", "r.io/app:1", "source")


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of the module."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def fail(silence, clock, times, seconds):
    """Send requests one after the other, each without an answer."""
    for _ in range(times):
        check_silence(silence, _OPERATION)
        began = clock.now
        clock.now += seconds
        silence.note_failure(began)


def test_server_that_is_silent_for_five_minutes_is_asked_no_more(clock):
    """Not even once more by a retry: thousands of requests would take days."""
    silence = Silence("r.io")
    fail(silence, clock, 11, 30.0)
    with pytest.raises(UnreachableError, match=r"r\.io has served nothing for 5m") as caught:
        check_silence(silence, _OPERATION)
    assert not is_transient(caught.value)


def test_many_failures_in_a_short_time_stop_nothing(clock):
    """Fifty requests that end together are one failure of a network."""
    silence = Silence("r.io")
    fail(silence, clock, 500, 0.1)
    check_silence(silence, _OPERATION)


def test_few_failures_in_a_long_time_stop_nothing(clock):
    """A slow server may need them."""
    silence = Silence("r.io")
    fail(silence, clock, 7, 100.0)
    check_silence(silence, _OPERATION)


@pytest.mark.parametrize(("status", "stops"), [(200, False), (404, False), (401, False), (429, True), (503, True), (500, True)])
def test_answer_begins_again_unless_it_says_that_nothing_is_served(status, stops, clock):
    """A registry that answers 500 for hours serves nothing either."""
    silence = Silence("r.io")
    fail(silence, clock, 10, 30.0)
    clock.now += 30.0
    silence.note_answer(status)
    if stops:
        with pytest.raises(UnreachableError):
            check_silence(silence, _OPERATION)
    else:
        check_silence(silence, _OPERATION)
        fail(silence, clock, 8, 30.0)
        check_silence(silence, _OPERATION)


def test_pause_without_requests_begins_again(clock):
    """While others are asked, nothing is known of it."""
    silence = Silence("r.io")
    fail(silence, clock, 7, 30.0)
    clock.now += 600.0
    fail(silence, clock, 8, 10.0)
    check_silence(silence, _OPERATION)
