"""A coordinator goes on without a state that can be written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from imgsync.apply.batch import Answer, BatchKind
from imgsync.apply.copy_change import FinishedChange
from imgsync.apply.report import Outcome, Result
from imgsync.apply.shard_outcome import FoundBlobs, RecordFacts
from imgsync.concurrency.stop import Stop
from imgsync.documents.answer import decode_answer, encode_answer
from imgsync.documents.batch import decode_batch, encode_batch
from imgsync.errors import StateError
from imgsync.fleet import coordinator, steady_link
from imgsync.fleet.coordinator import Codec, Coordinator, FleetOptions
from imgsync.fleet.link import Message
from imgsync.plan.content import PlanContent, SharedBlob
from imgsync.plan.model import Change
from imgsync.state import Record
from tests.support.batches import MOMENT, answer
from tests.support.plans import DIGEST, OTHER, change, plan


class _Link:
    """A broker with one worker, which copies shared blobs and ends images with *outcome*."""

    address = "broker.example"
    errors = (OSError,)
    refusals = ()

    def __init__(self, *waiting: Answer, failures: int = 0, **outcome: object) -> None:
        self._outcome = outcome
        self._failures = failures
        self._waiting = [json.dumps(encode_answer(one)).encode() for one in waiting]

    @contextlib.contextmanager
    def open(self) -> Iterator[_Link]:
        self._failures -= 1
        if self._failures >= 0:
            raise ConnectionRefusedError
        yield self

    def check(self) -> None:
        with self.open():
            pass

    def purge(self) -> int:
        return 0

    def count_workers(self) -> tuple[int, int]:
        return 1, 0

    def publish(self, body: bytes) -> None:
        given = decode_batch(json.loads(body))
        is_blobs = given.kind is BatchKind.BLOBS
        found = (FoundBlobs(str(given.changes[0].destination.repository), {OTHER: 5}),) if is_blobs else ()
        outcomes = () if is_blobs else tuple(Outcome(one, **self._outcome) for one in given.changes)
        said = answer(number=given.id, run=given.run, blobs=found, records={})
        records = {str(one.change.destination): RecordFacts(MOMENT, confirmed=True) for one in outcomes if one.result is Result.COPIED}
        self._waiting.append(json.dumps(encode_answer(replace(said, done=replace(said.done, outcomes=outcomes, records=records)))).encode())

    def wait(self, _seconds: float) -> Message | None:
        return Message(self._waiting.pop(0), False, True, SimpleNamespace(ack=lambda: None)) if self._waiting else None


class _State:
    """A state without records, which keeps those that are written."""

    was_interrupted = False

    def __init__(self) -> None:
        self.written: list[Record] = []

    def find_blob_repositories(self, *_: object) -> tuple[str, ...]:
        return ()

    def get(self, destination: str) -> Record | None:
        return next((one for one in reversed(self.written) if one.destination == destination), None)

    def put(self, records: Sequence[Record], **_: object) -> None:
        self.written += records


class _FullState(_State):
    """A state whose disk is full."""

    def put(self, *_: object, **__: object) -> None:
        raise StateError("the state can no longer be written (disk full)")


class _Delivery:
    """Records the first *waiting* questions late: until then, too much waits."""

    def __init__(self, *, waiting: int = 0) -> None:
        self.finished: list[FinishedChange] = []
        self._waiting = waiting

    @property
    def waiting_count(self) -> int:
        self._waiting -= 1
        return 1_000_000 if self._waiting >= 0 else 0

    def deliver(self, result: FinishedChange) -> None:
        self.finished.append(result)


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **_: object) -> None:
        self.events.append(event)

    warning = info


def test_full_disk_does_not_end_the_run():
    """What workers found is not recorded, with a warning, and the images are still copied."""
    changes = _changes()
    log = Log()

    finished = _run(changes, _Link(result=Result.FAILED, error="no"), _FullState(), log)

    assert {one.outcome.change.destination for one in finished} == {one.destination for one in changes}
    assert log.events.count("state.degraded") == 1


def test_broker_that_is_away_is_logged_once(monkeypatch):
    """Not at each attempt to connect."""
    monkeypatch.setattr(steady_link, "_RECONNECT_SECONDS", 0.0)
    log = Log()

    finished = _run(_changes(), _Link(failures=3, result=Result.COPIED, digest=DIGEST), _State(), log)

    assert len(finished) == 2
    assert log.events.count("broker.unreachable") == 1
    assert "broker.lost" not in log.events


def test_missing_workers_are_logged(monkeypatch):
    """With a hint, once they were missing for some seconds."""
    monkeypatch.setattr(coordinator, "_ALONE_SECONDS", 0.0)
    link, log = _Link(result=Result.COPIED, digest=DIGEST), Log()
    monkeypatch.setattr(link, "count_workers", lambda: (0, 0))

    _run(_changes(), link, _State(), log)

    assert log.events.count("fleet.alone") == 1


def test_nothing_is_sent_while_too_much_waits(monkeypatch):
    """What workers finish waits for the state's disk, not in memory."""
    link = _Link(result=Result.COPIED, digest=DIGEST)
    steps: list[str] = []
    publish, wait = link.publish, link.wait
    monkeypatch.setattr(link, "publish", lambda body: (steps.append("sent"), publish(body)))
    monkeypatch.setattr(link, "wait", lambda seconds: (steps.append("waited"), wait(seconds))[1])

    finished = _run(_changes(), link, _State(), Log(), _Delivery(waiting=3))

    assert len(finished) == 2
    assert steps[:4] == ["waited", "waited", "waited", "sent"]


@pytest.mark.row("GIT-14")
def test_late_answer_of_another_run_makes_the_next_one_ask():
    """Its worker may have pushed an older digest after this run's did: the tag is copied, and its record is in doubt."""
    first, second = changes = _changes()
    late = answer(Outcome(first, Result.COPIED, digest=OTHER), run="f" * 32, blobs=())

    finished = _run(changes, _Link(late, result=Result.COPIED, digest=DIGEST), _State(), Log())

    assert {one.record.destination: one.record.is_confirmed for one in finished} == {str(first.destination): False, str(second.destination): True}


def _changes() -> list[Change]:
    return [change(source=f"s.io/app{number}:1", destination=f"r.io/m/app{number}:1") for number in range(2)]


def _run(changes: Sequence[Change], link: _Link, state: _State, log: Log, delivery: _Delivery | None = None) -> list[FinishedChange]:
    """Coordinate the copies of *changes*, which share a blob; return how they ended."""
    made = plan(*changes, content=PlanContent((), (SharedBlob(OTHER, 5, (0, 1)),)))
    mirror = SimpleNamespace(name="a", declaration_digest="sha256:0", destinations=())
    config = SimpleNamespace(mirrors=(mirror,), is_complete=True, is_by_hand=False)
    nothing = SimpleNamespace(get=lambda *_: None, tags=SimpleNamespace(get_listed=lambda *_: None), describe_settings=lambda *_: "all")
    context = SimpleNamespace(state=state, log=log, stop=Stop(), refresh=False, manifests=nothing, referrers=nothing, policy=nothing)
    delivery = delivery or _Delivery()
    made_by = Coordinator(link, config, context, FleetOptions(4), codec=Codec(encode_batch, decode_answer), clean=str)
    made_by.run(made, {one.mirror for one in changes}, delivery)
    return delivery.finished
