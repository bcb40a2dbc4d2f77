"""Messages of a fleet: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from imgsync.config.schema_files import read_schema
from imgsync.documents.answer import decode_answer, encode_answer
from imgsync.documents.batch import decode_batch, encode_batch
from imgsync.errors import UsageError
from imgsync.plan.model import Action
from tests.support.batches import answer, batch, blob_batch
from tests.support.plans import DIGEST, change


def _fits(name: str, document: object) -> None:
    Draft202012Validator(json.loads(read_schema(name)), format_checker=FormatChecker()).validate(document)


@pytest.mark.parametrize("given", [batch(), blob_batch()], ids=["changes", "blobs"])
def test_batch_is_read_as_it_was_written(given):
    """And fits its schema."""
    document = json.loads(json.dumps(encode_batch(given)))

    _fits("batch", document)
    assert decode_batch(document) == given


def test_answer_is_read_as_it_was_written():
    """And fits its schema."""
    document = json.loads(json.dumps(encode_answer(answer())))

    _fits("outcomes", document)
    read = decode_answer(document)
    assert decode_answer(json.loads(json.dumps(encode_answer(read)))) == read
    assert [one.digest for one in read.done.outcomes] == [one.digest for one in answer().done.outcomes]


@pytest.mark.row("GIT-14")
@pytest.mark.parametrize(
    "changed",
    [
        {"format": "imgsync.batch/v2"},
        {"format": "imgsync.plan/v1"},
        {"imgsync": "0.0.1"},
        {"run": "../../etc"},
        {"run": "0123"},
        {"id": -1},
        {"id": True},
        {"attempt": 0},
        {"plan_id": "x"},
        {"kind": "deletes"},
        {"kind": "blobs"},
        {"created_at": "yesterday"},
        {"changes": []},
        {"declarations": {}},
        {"declarations": {"a": "x", "b": "y"}},
        {"manifests": ["e30="]},
        {"manifests": ["not base64"]},
        {"homes": [{"repository": "r.io/../x", "found": {}}]},
        {"homes": [{"repository": "r.io/m/app", "found": {"sha256:x": 1}}]},
        {"homes": [{"repository": "r.io/m/app", "found": {DIGEST: -1}}]},
        {"filled": ["https://evil.example/x"]},
        {"referrer_tags": {"s.io/app": ["latest"]}},
        {"workers": 0},
        {"budget_seconds": 0},
        {"budget_seconds": 1e9},
        {"budget_seconds": float("nan")},
    ],
    ids=lambda changed: json.dumps(changed)[:50],
)
def test_batch_that_no_coordinator_makes_is_refused(changed):
    """One field is not what it must be."""
    document = encode_batch(batch()) | changed

    with pytest.raises(UsageError):
        decode_batch(document)


@pytest.mark.parametrize("action", [Action.DELETE, Action.KEEP, Action.HOLD, Action.REFUSE])
def test_worker_gets_only_copies(action):
    """Deletes need the state, which the coordinator owns."""
    document = encode_batch(batch(changes=(change(action),)))

    with pytest.raises(UsageError, match=f"a worker does not {action.value}"):
        decode_batch(document)


def test_destination_is_there_once():
    """Otherwise two copies would race for a tag."""
    with pytest.raises(UsageError, match="there twice"):
        decode_batch(encode_batch(batch(changes=(change(tag="1"), change(tag="1")))))


@pytest.mark.parametrize("field", sorted(encode_batch(batch()).keys()))
def test_each_field_is_needed(field):
    """A batch without one is refused."""
    document = encode_batch(batch())
    del document[field]

    with pytest.raises(UsageError):
        decode_batch(document)


@pytest.mark.row("GIT-14")
@pytest.mark.parametrize(
    "changed",
    [{"run": "x"}, {"batch": -1}, {"worker": ""}, {"worker": "a\nb"}, {"outcome": {}}, {"outcome": []}, {"format": "imgsync.outcome/v1"}, {"refused": 1}],
    ids=json.dumps,
)
def test_answer_that_no_worker_makes_is_refused(changed):
    """One field is not what it must be."""
    with pytest.raises(UsageError):
        decode_answer(encode_answer(answer()) | changed)


def test_answer_is_of_a_whole_batch():
    """An outcome of a shard is not one."""
    document = encode_answer(answer())
    document["outcome"]["shard"] = "1/2"

    with pytest.raises(UsageError):
        decode_answer(document)
