"""A coordinator goes on without a state that can be written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

from imgsync.apply.batch import BatchKind
from imgsync.apply.report import Outcome, Result
from imgsync.apply.shard_outcome import FoundBlobs
from imgsync.concurrency.stop import Stop
from imgsync.documents.answer import decode_answer, encode_answer
from imgsync.documents.batch import decode_batch, encode_batch
from imgsync.errors import StateError
from imgsync.fleet.coordinator import Codec, Coordinator, FleetOptions
from imgsync.fleet.link import Message
from imgsync.plan.content import PlanContent, SharedBlob
from tests.support.batches import answer
from tests.support.plans import OTHER, change, plan


class _Link:
    """A broker with one worker, which copies shared blobs and fails with images."""

    address = "broker.example"
    errors = refusals = ()

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    @contextlib.contextmanager
    def open(self) -> Iterator[_Link]:
        yield self

    def purge(self) -> int:
        return 0

    def count_workers(self) -> tuple[int, int]:
        return 1, 0

    def publish(self, body: bytes) -> None:
        given = decode_batch(json.loads(body))
        is_blobs = given.kind is BatchKind.BLOBS
        found = (FoundBlobs(str(given.changes[0].destination.repository), {OTHER: 5}),) if is_blobs else ()
        outcomes = () if is_blobs else tuple(Outcome(one, Result.FAILED, error="no") for one in given.changes)
        said = answer(number=given.id, run=given.run, blobs=found, records={})
        self._waiting.append(json.dumps(encode_answer(replace(said, done=replace(said.done, outcomes=outcomes)))).encode())

    def wait(self, _seconds: float) -> Message | None:
        return Message(self._waiting.pop(0), False, SimpleNamespace(ack=lambda: None)) if self._waiting else None


class _FullState:
    """A state whose disk is full."""

    was_interrupted = False

    def find_blob_repositories(self, *_: object) -> tuple[str, ...]:
        return ()

    def put(self, *_: object, **__: object) -> None:
        raise StateError("the state can no longer be written (disk full)")


class _Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **_: object) -> None:
        self.events.append(event)

    warning = info


def test_full_disk_does_not_end_the_run():
    """What workers found is not recorded, with a warning, and the images are still copied."""
    changes = [change(source=f"s.io/app{number}:1", destination=f"r.io/m/app{number}:1") for number in range(2)]
    made = plan(*changes, content=PlanContent((), (SharedBlob(OTHER, 5, (0, 1)),)))
    mirror = SimpleNamespace(name="a", declaration_digest="sha256:0")
    config = SimpleNamespace(mirrors=(mirror,), is_complete=True, is_by_hand=False)
    nothing = SimpleNamespace(get=lambda *_: None, tags=SimpleNamespace(get_listed=lambda *_: None))
    log = _Log()
    context = SimpleNamespace(state=_FullState(), log=log, stop=Stop(), refresh=False, manifests=nothing, referrers=nothing)
    coordinator = Coordinator(_Link(), config, context, FleetOptions(4), codec=Codec(encode_batch, decode_answer), clean=str)
    finished = []

    coordinator.run(made, changes, finished.append)

    assert {one.outcome.change.destination for one in finished} == {one.destination for one in changes}
    assert log.events.count("state.degraded") == 1
