"""One read of a blob for several destination registries."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator

import pytest

from imgsync.concurrency.greenlets import Event, spawn
from imgsync.errors import ContentMismatchError
from imgsync.oci.spec.digest import DigestVerifier
from imgsync.transfer.shared_read import Consumer, ConsumerState, SharedRead

PIECES = [bytes([number]) * 100 for number in range(10)]
BLOB = b"".join(PIECES)
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"


def source() -> Generator[bytes, None, None]:
    yield from PIECES


def shared_read(*expected: str, bound_bytes: int = 1 << 20, on_end: Callable[[], object] = lambda: None, late: set[str] | None = None) -> SharedRead:
    verifier = DigestVerifier(DIGEST, len(BLOB), "pull blob")
    return SharedRead(verifier, expected, bound_bytes, on_end=on_end, on_late=(set() if late is None else late).add)


def take(shared: SharedRead, consumer: Consumer | None) -> bytes:
    assert consumer is not None
    return b"".join(shared.take(consumer, check=lambda: None))


def test_each_consumer_gets_all_bytes_of_one_read():
    """Also one that joins after the end: its bytes were kept."""
    shared = shared_read("one", "two")
    first = shared.join("one")
    shared.run(source)

    assert take(shared, first) == BLOB
    assert take(shared, shared.join("two")) == BLOB
    assert shared.held_bytes == 0


def test_registry_that_is_not_expected_reads_alone():
    """So does one that has joined or left already."""
    shared = shared_read("one", "two")
    shared.join("one")
    shared.leave("two")

    assert [shared.join(name) for name in ("one", "two", "three")] == [None, None, None]


def test_read_without_consumers_ends_and_is_forgotten():
    """A read that no consumer needs stops."""
    ended = []
    shared = shared_read("one", on_end=lambda: ended.append(True))
    shared.leave("one")

    shared.run(source)

    assert (shared.has_ended, shared.held_bytes, bool(ended)) == (True, 0, True)


def test_finished_read_is_freed_for_later_consumers():
    """Consumers that joined keep its bytes."""
    shared = shared_read("one", "two")
    consumer = shared.join("one")
    shared.run(source)

    shared.drop_expected()

    assert shared.join("two") is None
    assert take(shared, consumer) == BLOB


def test_wrong_bytes_end_the_read_of_each_consumer():
    """The last piece is never passed on."""
    shared = shared_read("one", "two")
    consumers = [shared.join(name) for name in ("one", "two")]
    shared.run(lambda: (piece for piece in [*PIECES[:-1], b"x" * 100]))

    for consumer in consumers:
        assert consumer is not None
        got = []
        with pytest.raises(ContentMismatchError):
            got.extend(shared.take(consumer, check=lambda: None))


def test_slow_consumer_is_detached_and_keeps_what_was_read(monkeypatch):
    """It takes the rest from the byte it has reached; the others get all."""
    monkeypatch.setattr("imgsync.transfer.shared_read._STALL_SECONDS", 0.1)
    shared = shared_read("fast", "slow", bound_bytes=250)
    fast, slow = shared.join("fast"), shared.join("slow")
    done: list[bytes] = []
    ended = Event()

    def take_all() -> None:
        done.append(take(shared, fast))
        ended.set()

    spawn(lambda: shared.run(source))
    spawn(take_all)
    assert ended.wait(10)

    assert done == [BLOB]
    assert slow is not None
    assert slow.state is ConsumerState.DETACHED
    assert slow.rest is not None
    pending, verifier = slow.rest
    assert b"".join(pending) == BLOB[: verifier.seen_bytes]


def test_consumer_that_never_came_is_reported_late(monkeypatch):
    """It holds up the others only once."""
    monkeypatch.setattr("imgsync.transfer.shared_read._STALL_SECONDS", 0.1)
    late: set[str] = set()
    shared = shared_read("fast", "absent", bound_bytes=250, late=late)
    fast = shared.join("fast")
    ended = Event()

    def take_all() -> None:
        take(shared, fast)
        ended.set()

    spawn(lambda: shared.run(source))
    spawn(take_all)
    assert ended.wait(10)

    assert late == {"absent"}
    assert shared.join("absent") is None
