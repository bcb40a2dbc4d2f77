"""
Simulate the coordinator of a fleet: sham workers answer at once that all is copied.

    python -m benchmarks.fleet [--changes 1000000] [--workers 16]

Nothing is copied and there is no broker. What is measured is the coordinator's own work: cutting the plan, writing batches as JSON, reading and checking
answers, and making records. docs/explanation/scale.md shows the result.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import time
from collections.abc import Iterator
from typing import Any

import imgsync
from imgsync.apply.batch import WHOLE, Answer
from imgsync.apply.report import Outcome, Result
from imgsync.apply.shard_outcome import RecordFacts, ShardOutcome
from imgsync.documents.answer import decode_answer, encode_answer
from imgsync.documents.batch import decode_batch, encode_batch
from imgsync.fleet.cut import Cutter
from imgsync.fleet.dispatch import Dispatch
from imgsync.fleet.make_batch import BatchMaker
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.content import PlanContent, RepositoryContent
from imgsync.plan.model import Action, Change, Plan
from imgsync.plan.shards import Partition

_TAGS_PER_REPOSITORY = 50
_RUN = "0" * 32
_MOMENT = "2026-11-30T00:00:00Z"


class _Nothing:
    """A context of a run that knows nothing."""

    was_interrupted = refresh = False

    @property
    def state(self) -> _Nothing:
        return self

    manifests = referrers = tags = state

    def get(self, *_: object) -> None:
        return None

    get_listed = get

    def find_blob_repositories(self, *_: object) -> tuple[str, ...]:
        return ()


class _Declared:
    """A configuration of one mirror."""

    class _Mirror:
        name = "a"
        declaration_digest = "sha256:0"

    mirrors = (_Mirror(),)


def make_plan(count: int) -> Plan:
    """Return a plan of *count* creates."""
    repositories = max(1, count // _TAGS_PER_REPOSITORY)
    changes = tuple(_make_change(number, repositories) for number in range(count))
    content = tuple(RepositoryContent(f"mirror.example/m/app{number:06}", 1 << 20, 100, False) for number in range(repositories))
    return Plan(changes, content=PlanContent(content), created_at=_MOMENT, known_id="00000000")


def _make_change(number: int, repositories: int) -> Change:
    path, tag = f"app{number % repositories:06}", f"1.{number // repositories}"
    digest = "sha256:" + hashlib.sha256(str(number).encode()).hexdigest()
    source, destination = Reference(Repository("source.example", path), tag), Reference(Repository("mirror.example", f"m/{path}"), tag)
    return Change(Action.CREATE, "a", source, digest, destination, None, "application/vnd.oci.image.manifest.v1+json", 50 << 20, "not at the destination")


def answer_batch(text: str) -> str:
    """Return what a worker answers that copied all of *text*."""
    batch = decode_batch(json.loads(text))
    outcomes = tuple(Outcome(change, Result.COPIED, digest=change.source_digest, crc32="00000000", bytes_copied=1) for change in batch.changes)
    records = {str(change.destination): RecordFacts(_MOMENT, confirmed=True) for change in batch.changes}
    done = ShardOutcome(batch.plan_id, batch.run, WHOLE, imgsync.__version__, _MOMENT, 0, outcomes=outcomes, records=records)
    return json.dumps(encode_answer(Answer(batch.run, batch.id, "sham:1", done)))


def coordinate(plan: Plan, workers: int) -> Iterator[tuple[int, float]]:
    """Yield the changes that each answer ends, and the processor time of the coordinator for it."""
    began = time.process_time()
    made_for: Any = (_Declared(), _Nothing())
    partition = Partition(plan, 1)
    dispatch = Dispatch(Cutter(partition, {change.destination for change in plan.changes}), BatchMaker(_RUN, plan, *made_for, filled=frozenset()), run=_RUN)
    yield 0, time.process_time() - began
    while not dispatch.is_done:
        began, sent = time.process_time(), []
        while dispatch.out_count < 2 * workers + 2 and (batch := dispatch.take(workers=workers, now=0.0)) is not None:
            sent.append(json.dumps(encode_batch(batch)))
        yield 0, time.process_time() - began
        for text in sent:
            found = answer_batch(text)
            began = time.process_time()
            outcomes = dispatch.accept(decode_answer(json.loads(found))).outcomes
            yield len(outcomes), time.process_time() - began


def main() -> None:
    """Print changes, processor time and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=16)
    options = parser.parse_args()
    plan = make_plan(options.changes)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done, seconds = 0, 0.0
    for count, spent in coordinate(plan, options.workers):
        done, seconds = done + count, seconds + spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{done:,} changes, {options.workers} workers: {seconds:.0f} s of processor time, {held >> 10} MiB for the plan, {peak >> 10} MiB at most")


if __name__ == "__main__":
    main()
