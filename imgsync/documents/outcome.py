"""
imgsync.outcome/v1: what one shard of a plan did.

Written by `apply --shard`, read by `combine`. It comes from another job, so nothing in it is believed that the plan does not allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import imgsync
from imgsync.apply.report import COUNTS, Outcome, Result, SharedCopies
from imgsync.apply.shard_outcome import FoundBlobs, RecordFacts, ShardOutcome, Traffic
from imgsync.documents.decode import decode_field
from imgsync.documents.envelope import check_format, decode_errors, encode_errors, name_damage
from imgsync.documents.report import decode_outcome, encode_outcome
from imgsync.errors import UsageError
from imgsync.oci.spec.digest import is_crc32, is_digest
from imgsync.partition.shard import parse_shard
from imgsync.text.units import parse_timestamp

FORMAT = "imgsync.outcome/v1"
EXIT_CODES = (0, 1, 3, 70, 75, 130)
_AGAIN = "run the shard again: imgsync apply --plan FILE --shard I/N --outcome FILE"
_OTHER_KIND = "give what `imgsync apply --shard I/N --outcome FILE` wrote; the plan is given with --plan"
_SIDES = ("source", "destination")


def encode_shard_outcome(done: ShardOutcome) -> dict[str, Any]:
    """Return *done* as a document."""
    report = done.report
    return {
        "format": FORMAT,
        "plan_id": done.plan_id,
        "partition": done.partition,
        "shard": str(done.shard),
        "imgsync": done.version,
        "created_at": done.created_at,
        "exit_code": done.exit_code,
        "stopped": done.stopped or None,
        "seconds": done.seconds,
        "summary": {**{result.value: report.count(result) for result in Result}, **{name: report.total(name) for name in COUNTS}},
        "outcomes": [_encode(outcome, done.records.get(str(outcome.change.destination))) for outcome in done.outcomes],
        "shared": [asdict(one) for one in done.shared],
        "blobs": [{"repository": one.repository, "found": dict(one.found), "missing": list(one.missing)} for one in done.blobs],
        "traffic": [asdict(one) for one in done.traffic],
        "throttled": dict(sorted(done.throttled.items())),
        "errors": encode_errors(done.errors),
        "notes": list(done.notes),
    }


def decode_shard_outcome(document: Mapping[str, Any], *, name: str) -> ShardOutcome:
    """
    Return the outcome in *document*, read from the file *name*.

    Raises:
        UsageError: It is not an outcome, is damaged, or another version of imgsync wrote it.
    """
    check_format(document, FORMAT, name=name, hint=_OTHER_KIND)
    with name_damage("outcome", name=name, hint=_AGAIN):
        entries = decode_field(document, "outcomes", tuple[dict[str, Any], ...])
        done = ShardOutcome(
            plan_id=decode_field(document, "plan_id", str),
            partition=decode_field(document, "partition", str),
            # Of no job, so that `auto` is not the shard of the job that combines.
            shard=parse_shard(decode_field(document, "shard", str), {}),
            version=decode_field(document, "imgsync", str),
            created_at=decode_field(document, "created_at", str),
            exit_code=decode_field(document, "exit_code", int),
            stopped=decode_field(document, "stopped", str | None) or "",
            seconds=decode_field(document, "seconds", float),
            outcomes=tuple(decode_outcome(entry) for entry in entries),
            records={str(entry["destination"]): decode_field(entry, "record", RecordFacts) for entry in entries if "record" in entry},
            shared=decode_field(document, "shared", tuple[SharedCopies, ...]),
            blobs=decode_field(document, "blobs", tuple[FoundBlobs, ...]),
            traffic=decode_field(document, "traffic", tuple[Traffic, ...]),
            throttled=decode_field(document, "throttled", dict[str, int]),
            errors=decode_errors(document),
            notes=decode_field(document, "notes", tuple[str, ...]),
        )
        _check(done)
    if done.version != imgsync.__version__:
        raise UsageError(f"{name} was made by imgsync {done.version}, not {imgsync.__version__}", hint="use the same version in every job")
    return done


def _encode(outcome: Outcome, record: RecordFacts | None) -> dict[str, Any]:
    return encode_outcome(outcome) | ({"record": asdict(record)} if record is not None else {})


def _check(done: ShardOutcome) -> None:
    """
    Check values that the types leave open.

    Raises:
        ValueError: One is out of range.
    """
    counts = [getattr(one, count) for one in (*done.outcomes, *done.shared) for count in COUNTS]
    counts += [count for one in done.traffic for count in (*one.requests.values(), one.bytes_copied)]
    counts += [*done.throttled.values(), *(outcome.attempts for outcome in done.outcomes)]
    if min(counts, default=0) < 0 or min([done.seconds, *(outcome.seconds for outcome in done.outcomes)]) < 0:
        raise ValueError("a count is negative")
    if done.exit_code not in EXIT_CODES:
        raise ValueError(f"{done.exit_code} is not an exit code of apply")
    if any(one.side not in _SIDES for one in done.traffic):
        raise ValueError("the side of a registry is unknown")
    if not all(name.isascii() and name.isprintable() for name in (*done.throttled, *(one.registry for one in done.traffic))):
        # They are written into the metrics, which cannot hold every text that JSON can.
        raise ValueError("the name of a registry is not one")
    _check_outcomes(done)
    for one in done.blobs:
        check_found(one)


def check_found(one: FoundBlobs) -> None:
    """
    Check the digests and sizes of blobs of one repository.

    Raises:
        ValueError: One is not what it says.
    """
    if not all(map(is_digest, (*one.found, *one.missing))) or min((size for size in one.found.values() if size is not None), default=0) < 0:
        raise ValueError(f"the blobs of {one.repository!r} are not digests with sizes")


def _check_outcomes(done: ShardOutcome) -> None:
    for outcome in done.outcomes:
        if outcome.digest is not None and not is_digest(outcome.digest):
            raise ValueError(f"{outcome.digest!r} is not a digest")
        if outcome.crc32 is not None and not is_crc32(outcome.crc32):
            raise ValueError(f"{outcome.crc32!r} is not a crc32")
    for facts in done.records.values():
        if parse_timestamp(facts.applied_at) is None:
            raise ValueError(f"{facts.applied_at!r} is not a time")
