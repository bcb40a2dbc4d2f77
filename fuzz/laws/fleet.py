"""Check the messages of a fleet."""

from __future__ import annotations

import json
from typing import Any

import imgsync
from imgsync.documents.answer import decode_answer, encode_answer
from imgsync.documents.batch import decode_batch, encode_batch
from imgsync.documents.envelope import parse_document
from imgsync.errors import UsageError
from imgsync.plan.model import COPIES


def messages(data: bytes) -> None:
    """
    Check batches and answers from a queue that others write to.

    They are refused, or hold only what their formats allow, and are the same after another way through a queue.
    """
    try:
        document = parse_document(data, name="the message")
    except UsageError:
        return
    _check_batch(document)
    _check_answer(document)


def _check_batch(document: dict[str, Any]) -> None:
    try:
        batch = decode_batch({**document, "imgsync": imgsync.__version__})
    except UsageError:
        return
    assert all(change.action in COPIES for change in batch.changes)
    assert set(batch.declarations) == {change.mirror for change in batch.changes}
    assert all(0 <= blob.change < len(batch.changes) for blob in batch.blobs)
    assert decode_batch(json.loads(json.dumps(encode_batch(batch)))) == batch


def _check_answer(document: dict[str, Any]) -> None:
    outcome = document.get("outcome")
    if isinstance(outcome, dict):
        document = {**document, "outcome": {**outcome, "imgsync": imgsync.__version__}}
    try:
        answer = decode_answer(document)
    except UsageError:
        return
    assert decode_answer(json.loads(json.dumps(encode_answer(answer)))) == answer
