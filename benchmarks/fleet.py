"""
Measure the coordinator of a fleet: sham workers answer at once that all is copied.

    python -m benchmarks.fleet [--changes 10000 ...] [--workers 2]

The coordinator is the program itself, `imgsync apply --broker`, with its state, log and report; only its plan is made up. It sends its batches through
Debian's RabbitMQ to workers that copy nothing. What is measured is its processor time and its memory. docs/explanation/scale.md shows the result.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import imgsync
from imgsync.apply.batch import WHOLE, Answer
from imgsync.apply.report import Outcome, Result
from imgsync.apply.shard_outcome import FoundBlobs, RecordFacts, ShardOutcome
from imgsync.documents.answer import encode_answer
from imgsync.documents.batch import decode_batch
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.content import PlanContent, RepositoryContent
from imgsync.plan.model import Action, Change, MirrorNotes, Plan
from imgsync.plan.packed_changes import pack_changes
from imgsync.text.units import format_timestamp
from tests.support import rabbitmq

_TAGS_PER_REPOSITORY = 50
_BLOBS_PER_IMAGE = 2
_QUEUE = "imgsync"
_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
_DECLARED = "version: 1\nmirrors:\n- {name: a, source: {registry: source.example, repositories: [app]}, destinations: [mirror.example/m]}\n"


def make_plan(count: int, created_at: str) -> Plan:
    """Return a plan of *count* creates."""
    repositories = max(1, count // _TAGS_PER_REPOSITORY)
    names = [(Repository("source.example", path), Repository("mirror.example", f"m/{path}")) for path in (f"app{one:06}" for one in range(repositories))]
    changes = pack_changes(_make_change(names[number // _TAGS_PER_REPOSITORY % repositories], number) for number in range(count))
    content = tuple(RepositoryContent(str(one), 1 << 20, 100, False) for _, one in names)
    notes = MirrorNotes("a", "source.example", ("mirror.example/m",), "mirrors.d/a.yaml", 2)
    plan = Plan(changes, mirrors=(notes,), content=PlanContent(content), created_at=created_at)
    # As planning does: without it, the id would be computed for each batch.
    return replace(plan, known_id=plan.id)


def _make_change(names: tuple[Repository, Repository], number: int) -> Change:
    tag = f"1.{number}"
    digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
    return Change(Action.CREATE, "a", Reference(names[0], tag), digest, Reference(names[1], tag), None, _MEDIA_TYPE, 50 << 20, "not at the destination")


def answer_batch(text: str) -> str:
    """Return what a worker answers that copied all of *text*."""
    batch = decode_batch(json.loads(text))
    now = batch.created_at
    outcomes = tuple(Outcome(change, Result.COPIED, digest=change.source_digest, crc32="00000000", bytes_copied=1) for change in batch.changes)
    records = {str(change.destination): RecordFacts(now, confirmed=True) for change in batch.changes}
    found: dict[str, dict[str, int | None]] = {}
    for change in batch.changes:
        digests = [hashlib.sha256(f"{change.destination}{number}".encode()).hexdigest() for number in range(_BLOBS_PER_IMAGE)]
        found.setdefault(str(change.destination.repository), {}).update({f"sha256:{digest}": 25 << 20 for digest in digests})
    blobs = tuple(FoundBlobs(*one) for one in found.items())
    done = ShardOutcome(batch.plan_id, batch.run, WHOLE, imgsync.__version__, now, 0, outcomes=outcomes, records=records, blobs=blobs)
    return json.dumps(encode_answer(Answer(batch.run, batch.id, "sham:1", done)))


def coordinate(count: int, url: str) -> None:
    """Run `imgsync apply --broker` with a plan of *count* changes; print what it needed, as JSON."""
    from imgsync.__main__ import _patch_sockets

    _patch_sockets()
    import resource
    from datetime import UTC, datetime

    import imgsync.apply.run
    from imgsync.cli import run

    figures: dict[str, Any] = {}

    def plan_it(*_: object, **__: object) -> Plan:
        plan = make_plan(count, format_timestamp(datetime.now(UTC)))
        figures["plan_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        figures["plan_seconds"] = time.process_time()
        return plan

    imgsync.apply.run.build_plan = plan_it
    Path("mirrors.d").mkdir()
    Path("mirrors.d/a.yaml").write_text(_DECLARED, encoding="utf-8")
    options = ("--broker", url, "--queue", _QUEUE, "--state", "state", "--log-level", "error", "--yes", "--no-progress")
    code = run(["apply", *options])
    figures |= {"seconds": time.process_time() - figures["plan_seconds"], "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}
    sys.stderr.write(json.dumps(figures | {"exit_code": code}))


def work(url: str) -> None:
    """Answer the batches of the queue, until killed."""
    from kombu import Connection, Consumer, Producer, Queue

    from imgsync.fleet.queues import QueueNames, declare_queues, publish

    names = QueueNames(_QUEUE)
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        channel = connection.default_channel
        declare_queues(channel, names)
        channel.basic_qos(0, 1, False)
        producer = Producer(connection.channel(), serializer=None)

        def answer(message: Any) -> None:
            text = message.body if isinstance(message.body, str) else bytes(message.body).decode()
            publish(producer, names.results, answer_batch(text).encode(), headers={}, exchange=names.results)
            message.ack()

        with Consumer(channel, [Queue(names.work, no_declare=True)], on_message=answer, auto_declare=False):
            while True:
                connection.drain_events()


def measure(count: int, workers: int, broker: rabbitmq.Broker) -> dict[str, Any]:
    """Return what a coordinator of *count* changes needed."""
    with tempfile.TemporaryDirectory(prefix="imgsync-fleet-") as folder, contextlib.ExitStack() as stack:
        for _ in range(workers):
            stack.enter_context(_running(["work", broker.url], folder))
        began = time.monotonic()
        ended = subprocess.run(_command(["coordinate", str(count), broker.url]), cwd=folder, env=_environment(), capture_output=True, check=False, text=True)
        if ended.returncode:
            raise RuntimeError(ended.stderr[-2000:])
        figures: dict[str, Any] = json.loads(ended.stderr.splitlines()[-1])
        return figures | {"wall_seconds": time.monotonic() - began, "output": ended.stdout}


@contextlib.contextmanager
def _running(arguments: list[str], folder: str) -> Iterator[None]:
    with subprocess.Popen(_command(arguments), cwd=folder, env=_environment()) as process:
        try:
            yield
        finally:
            process.kill()


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "benchmarks.fleet", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def main() -> None:
    """Print processor time and memory for each number of changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--changes", type=int, action="append", help="repeatable; default: 10,000 and 100,000")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    # So that the broker ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print("| changes | processor time | memory of the plan | memory at most |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="imgsync-broker-") as folder:
        broker = rabbitmq.start(Path(folder), os.getpid())
        try:
            for count in options.changes or (10_000, 100_000):
                found = measure(count, options.workers, broker)
                if found["exit_code"]:
                    raise RuntimeError(found["output"][-2000:])
                print(f"| {count:,} | {found['seconds']:.0f} s | {found['plan_bytes'] >> 20} MiB | {found['bytes'] >> 20} MiB |", flush=True)
        finally:
            rabbitmq.stop(broker)


if __name__ == "__main__":
    if sys.argv[1:2] == ["coordinate"]:
        coordinate(int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:2] == ["work"]:
        work(sys.argv[2])
    else:
        main()
