"""
imgsync.batch/v1: a part of a plan for one worker of a fleet.

Written by the coordinator, read by workers from a queue that others may write to. It has no credential, and of addresses only the names of registries.
A batch that is damaged, too large or from another version is refused as a whole.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

import imgsync
from imgsync.apply.batch import Batch, BatchBlob, BatchKind
from imgsync.apply.shard_outcome import FoundBlobs
from imgsync.documents.decode import decode_field
from imgsync.documents.envelope import check_format, name_damage
from imgsync.documents.outcome import check_found
from imgsync.documents.plan import check_change
from imgsync.errors import InvalidReferenceError, UnsupportedContentError, UsageError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.reference import parse_repository
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.plan.model import COPIES, Change
from imgsync.text.units import parse_timestamp

FORMAT = "imgsync.batch/v1"
MOST_SECONDS = 1500
_NAME = "the message"
_RUN = re.compile(r"[0-9a-f]{32}")
_PLAN = re.compile(r"[0-9a-f]{8}")
_MOST_CHANGES = 1000
_MOST_WORKERS = 10_000
_MOST_NUMBER = 1 << 40


def encode_batch(batch: Batch) -> dict[str, Any]:
    """Return *batch* as a document."""
    return {
        "format": FORMAT,
        "run": batch.run,
        "id": batch.id,
        "attempt": batch.attempt,
        "plan_id": batch.plan_id,
        "imgsync": batch.version,
        "created_at": batch.created_at,
        "kind": batch.kind.value,
        "declarations": dict(batch.declarations),
        "changes": [change.document for change in batch.changes],
        "blobs": [{"digest": one.digest, "size_bytes": one.size_bytes, "change": one.change} for one in batch.blobs],
        "homes": [{"repository": one.repository, "found": dict(one.found)} for one in batch.homes],
        "filled": list(batch.filled),
        "manifests": [base64.b64encode(one.raw).decode() for one in batch.manifests],
        "referrer_tags": {repository: list(tags) for repository, tags in batch.referrer_tags.items()},
        "workers": batch.workers,
        "budget_seconds": batch.budget_seconds,
    }


def decode_batch(document: Mapping[str, Any]) -> Batch:
    """
    Return the batch in *document*.

    Raises:
        UsageError: It is not a batch, is damaged, or another version of imgsync made it.
    """
    check_format(document, FORMAT, name=_NAME)
    if document.get("imgsync") != imgsync.__version__:
        raise UsageError(f"the batch was made by another version of imgsync, not {imgsync.__version__}", hint="use the same version on every machine")
    with name_damage("batch", name=_NAME):
        batch = Batch(
            run=decode_field(document, "run", str),
            id=decode_field(document, "id", int),
            attempt=decode_field(document, "attempt", int),
            plan_id=decode_field(document, "plan_id", str),
            version=decode_field(document, "imgsync", str),
            created_at=decode_field(document, "created_at", str),
            kind=decode_field(document, "kind", BatchKind),
            declarations=decode_field(document, "declarations", dict[str, str]),
            changes=decode_field(document, "changes", tuple[Change, ...]),
            blobs=decode_field(document, "blobs", tuple[BatchBlob, ...]),
            homes=tuple(FoundBlobs(*one) for one in _decode_homes(document)),
            filled=decode_field(document, "filled", tuple[str, ...]),
            manifests=_decode_manifests(decode_field(document, "manifests", tuple[str, ...])),
            referrer_tags=decode_field(document, "referrer_tags", dict[str, tuple[str, ...]]),
            workers=decode_field(document, "workers", int),
            budget_seconds=decode_field(document, "budget_seconds", float),
        )
        _check(batch)
    return batch


def _decode_homes(document: Mapping[str, Any]) -> list[tuple[str, dict[str, int | None]]]:
    entries = decode_field(document, "homes", tuple[dict[str, Any], ...])
    return [(decode_field(one, "repository", str), decode_field(one, "found", dict[str, int | None])) for one in entries]


def _decode_manifests(texts: Sequence[str]) -> tuple[Manifest, ...]:
    try:
        found = tuple(parse_manifest(base64.b64decode(text, validate=True)) for text in texts)
    except (binascii.Error, UnsupportedContentError) as error:
        raise ValueError(f"a manifest is damaged: {error}") from error
    # What a repository served without a type has the type that the repository named, which a message is not.
    if not all(one.declared_type for one in found):
        raise ValueError("a manifest does not declare its type")
    return found


def _check(batch: Batch) -> None:
    """
    Check values that the types leave open.

    Raises:
        ValueError: One is out of range.
    """
    if not (_RUN.fullmatch(batch.run) and _PLAN.fullmatch(batch.plan_id)):
        raise ValueError("the run or the plan has no such name")
    if not (0 <= batch.id < _MOST_NUMBER and 0 < batch.attempt < _MOST_NUMBER and 0 < batch.workers <= _MOST_WORKERS):
        raise ValueError("a number is out of range")
    if parse_timestamp(batch.created_at) is None:
        raise ValueError(f"{batch.created_at!r} is not a time")
    if not 0 < batch.budget_seconds <= MOST_SECONDS:
        raise ValueError(f"{batch.budget_seconds} seconds are not a budget")
    _check_changes(batch)
    _check_places(batch)


def _check_changes(batch: Batch) -> None:
    if not 0 < len(batch.changes) <= _MOST_CHANGES:
        raise ValueError(f"{len(batch.changes)} changes are not a batch")
    for change in batch.changes:
        check_change(change)
        if change.action not in COPIES or change.source_digest is None:
            raise ValueError(f"a worker does not {change.action.value}")
    if len({change.destination for change in batch.changes}) < len(batch.changes):
        raise ValueError("a destination is there twice")
    if set(batch.declarations) != {change.mirror for change in batch.changes}:
        raise ValueError("the declarations are not those of the changes")
    if (batch.kind is BatchKind.BLOBS) != bool(batch.blobs):
        raise ValueError(f"a batch of {batch.kind.value} with {len(batch.blobs)} blobs")
    for blob in batch.blobs:
        if not is_digest(blob.digest) or blob.size_bytes < 0 or not 0 <= blob.change < len(batch.changes):
            raise ValueError("a shared blob is not a digest with a size and a change")


def _check_places(batch: Batch) -> None:
    for one in batch.homes:
        check_found(one)
    if not all(is_referrers_tag(tag) for tags in batch.referrer_tags.values() for tag in tags):
        raise ValueError("a tag of referrers is not one")
    for name in (*batch.filled, *batch.referrer_tags, *(one.repository for one in batch.homes)):
        try:
            is_valid = str(parse_repository(name)) == name
        except InvalidReferenceError:
            is_valid = False
        if not is_valid:
            raise ValueError(f"{name!r} is not a repository")
