"""Batches and answers of a fleet, as coordinator and workers make them."""

from __future__ import annotations

from typing import Any

import imgsync
from imgsync.apply.batch import WHOLE, Answer, Batch, BatchBlob, BatchKind
from imgsync.apply.report import Outcome, Result
from imgsync.apply.shard_outcome import FoundBlobs, RecordFacts, ShardOutcome, Traffic
from imgsync.oci.spec.manifest import parse_manifest
from tests.support.plans import DIGEST, OTHER, change

RUN = "0123456789abcdef0123456789abcdef"
MOMENT = "2026-11-23T09:00:00Z"
MANIFEST = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
    b'"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"' + OTHER.encode() + b'","size":2},"layers":[]}'
)


def batch(**fields: Any) -> Batch:
    """Return a batch of one change, all else as most have it."""
    values = {
        "run": RUN,
        "id": 7,
        "attempt": 1,
        "plan_id": "abcd1234",
        "version": imgsync.__version__,
        "created_at": MOMENT,
        "kind": BatchKind.CHANGES,
        "declarations": {"a": "sha256:4c1e"},
        "changes": (change(tag="1"),),
        "homes": (FoundBlobs("r.io/m/base", {OTHER: 5}),),
        "filled": ("r.io/m/app",),
        "manifests": (parse_manifest(MANIFEST),),
        "referrer_tags": {"s.io/app": (f"sha256-{'a' * 64}.sig",)},
        **fields,
    }
    return Batch(**values)


def blob_batch() -> Batch:
    """Return a batch of one shared blob."""
    return batch(kind=BatchKind.BLOBS, blobs=(BatchBlob(OTHER, 5, 0),), homes=(), filled=(), manifests=(), referrer_tags={})


def answer(*outcomes: Outcome, number: int = 7, run: str = RUN, **fields: Any) -> Answer:
    """Return the answer to a batch; without *outcomes*, its change was copied."""
    done = outcomes or (Outcome(change(tag="1"), Result.COPIED, digest=DIGEST, bytes_copied=5, blobs_copied=1),)
    values = {
        "records": {str(one.change.destination): RecordFacts(MOMENT, confirmed=True) for one in done if one.result is Result.COPIED},
        "blobs": (FoundBlobs("r.io/m/app", {OTHER: 5}),),
        "traffic": (Traffic("source", "s.io", {"GET": 2}),),
        **fields,
    }
    return Answer(run, number, "host:1", ShardOutcome("abcd1234", run, WHOLE, imgsync.__version__, MOMENT, 0, outcomes=done, **values))
