"""The adaptive limit follows what a registry serves, and large transfers leave slots free."""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgsync.oci.limits.adaptive_limit import AdaptiveLimit
from tests import switches
from tests.support.images import image
from tests.support.patched import run_patched
from tests.support.wire import plain_answer


def nothing() -> None:
    """Do not end the waiting."""


def hold(limit: AdaptiveLimit, stack: contextlib.ExitStack, count: int, *, is_large: bool = False) -> list[int]:
    """Take so many slots."""
    return [stack.enter_context(limit.slot(nothing, is_large=is_large)) for _ in range(count)]


def refuse_to_wait() -> None:
    """End the waiting at once."""
    raise TimeoutError


def grown_limit(count: int) -> AdaptiveLimit:
    """Return a limit that has grown to its maximum."""
    limit = AdaptiveLimit(count)
    with contextlib.ExitStack() as stack:
        while limit.allowed < count:
            for generation in hold(limit, stack, limit.allowed - limit.running):
                limit.note_response(generation)
    return limit


def test_429_halves_the_limit_and_success_restores_it():
    """One 429 per round counts; the limit stays between one and the declared value."""
    limit = AdaptiveLimit(16)
    with contextlib.ExitStack() as stack:
        for generation in hold(limit, stack, 16):
            limit.note_refusal(generation)
        assert limit.allowed == 8
    for _ in range(10):
        with limit.slot(nothing) as generation:
            limit.note_refusal(generation)
    assert limit.allowed == 1
    responses = 0
    while limit.allowed < 16:
        with contextlib.ExitStack() as stack:
            for generation in hold(limit, stack, limit.allowed):
                limit.note_response(generation)
                responses += 1
    assert 100 < responses < 200


def test_large_transfers_leave_slots_for_queries():
    """A quarter of the slots is free for what takes no time."""
    limit = grown_limit(64)
    with contextlib.ExitStack() as stack:
        hold(limit, stack, 48, is_large=True)
        with pytest.raises(TimeoutError), limit.slot(refuse_to_wait, is_large=True):
            pass
        hold(limit, stack, 16)
        with pytest.raises(TimeoutError), limit.slot(refuse_to_wait):
            pass
        assert limit.running == 64
    assert limit.running == 0


@pytest.mark.parametrize("maximum", [1, 2, 3])
def test_few_slots_are_all_for_transfers_too(maximum):
    """Whoever declares two connections gets two transfers at once."""
    limit = AdaptiveLimit(maximum)
    with contextlib.ExitStack() as stack:
        hold(limit, stack, maximum, is_large=True)
        assert limit.running == maximum


def test_waiting_requests_start_in_order():
    """A query does not pass another, and it does not wait behind a transfer that has to wait for its share."""
    limit = AdaptiveLimit(4)
    started: queue.Queue[str] = queue.Queue()
    may_end = threading.Event()

    def take(name: str, waits: threading.Event) -> None:
        with limit.slot(waits.set, is_large=name == "large"):
            started.put(name)
            may_end.wait(60)

    with contextlib.ExitStack() as transfers, contextlib.ExitStack() as query, ThreadPoolExecutor(3) as pool:
        hold(limit, transfers, 3, is_large=True)
        hold(limit, query, 1)
        for name in ("large", "a", "b"):
            waits = threading.Event()
            pool.submit(take, name, waits)
            assert waits.wait(60)
        query.close()
        assert started.get(timeout=60) == "a"
        may_end.set()
        assert started.get(timeout=60) == "b"
        transfers.close()
        assert started.get(timeout=60) == "large"
    assert limit.running == 0


def test_ended_wait_gives_no_slot_away():
    """A caller that gives up leaves the queue."""
    limit = AdaptiveLimit(1)
    with limit.slot(nothing):
        for _ in range(3):
            with pytest.raises(TimeoutError), limit.slot(refuse_to_wait):
                pass
    with limit.slot(refuse_to_wait):
        assert limit.running == 1


def test_waiting_for_a_place_can_be_ended():
    """The caller is asked whether to continue."""
    limit = AdaptiveLimit(1)

    def give_up() -> None:
        raise TimeoutError

    with limit.slot(nothing), pytest.raises(TimeoutError), limit.slot(give_up):
        pass


def test_slots_are_given_in_the_order_of_waiting():
    """A caller that frees its slot and takes the next one waits behind those that came before it."""
    order = run_patched("""
        import gevent
        from imgsync.oci.limits.adaptive_limit import AdaptiveLimit
        limit, order = AdaptiveLimit(2), []
        def copy(name):
            for step in range(2):
                with limit.slot(lambda: None):
                    order.append(f"{name}{step}")
                    gevent.sleep(0)
        gevent.joinall([gevent.spawn(copy, name) for name in "abcd"])
        print(json.dumps([order, limit.running]))
    """)

    assert order == [["a0", "b0", "c0", "d0", "a1", "b1", "c1", "d1"], 0]


def test_slot_that_is_given_up_goes_to_the_next():
    """Whether the caller still waits or was given it just then."""
    left = run_patched("""
        import gevent, gevent.event
        from imgsync.oci.limits import adaptive_limit
        adaptive_limit._CHECK_SECONDS = 0.01
        limit, seen = adaptive_limit.AdaptiveLimit(1), []
        class Stopped(Exception): pass
        stops = gevent.event.Event()
        def check():
            if stops.is_set():
                raise Stopped
        def wait(name, check):
            try:
                with limit.slot(check):
                    seen.append(name)
            except Stopped:
                seen.append("stopped")
        with limit.slot(lambda: None):
            waiters = [gevent.spawn(wait, "first", check), gevent.spawn(wait, "second", lambda: None)]
            gevent.sleep(0)
            stops.set()
            waiters[0].join()
        gevent.joinall(waiters)
        print(json.dumps([seen, limit.running]))
    """)

    assert left == [["stopped", "second"], 0]


class Crowded(switches.Switch):
    """Refuses requests while a number of others is being answered."""

    def __init__(self, most: int, status: int) -> None:
        self.most = most
        self.status = status
        self.refused = 0
        self._running = 0
        self._lock = threading.Lock()

    def request(self, request):
        with self._lock:
            if self._running >= self.most:
                self.refused += 1
                return plain_answer(self.status, b"", {"Retry-After": "0"})
            self._running += 1
        return request

    def answer(self, request, answer):
        if answer.status != self.status:
            with self._lock:
                self._running -= 1
        return answer


@pytest.mark.row("NET-01")
@pytest.mark.parametrize("status", [429, 503])
def test_crowded_registry_gets_fewer_parallel_requests(lab, status):
    """Everything arrives, and most requests succeed."""
    crowded = lab.destination.add(Crowded(2, status))
    for number in range(12):
        lab.push("app", str(number), image(number))
    # Without `concurrency`: the defaults have no declared ceiling to save them.
    lab.declare("app", retry="{attempts: 8, interval: 0s}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert all(lab.served_manifest("app", str(number)) for number in range(12))
    assert 0 < crowded.refused < len(lab.destination.seen) * 2 / 3


def test_repository_that_always_gets_429_fails_alone(lab):
    """It is retried some times more than declared; the others are copied."""
    content = lab.push("app", "1", image(1))
    lab.source.add(switches.status(429, retry_after="0"), target=f"{lab.name}/never/")
    # One after the other: what the registry serves is known before it refuses.
    lab.declare("app never", "concurrency: {queries: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert lab.served_manifest("app", "1") == content.raw
    assert [error["reference"].endswith(f"{lab.name}/never") for error in ran.json["errors"]] == [True]
    assert 2 < len(lab.source.recorded(f"GET .*{lab.name}/never/")) <= 16 + 2
