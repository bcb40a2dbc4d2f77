"""
A Lease of Kubernetes, read and changed.

Its times are written for people and other programs. imgsync never compares them with its own clock.
Spec: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from imgsync.system.dataclass import dataclass

_API_VERSION = "coordination.k8s.io/v1"
_KIND = "Lease"
_TEXT_LIMIT = 500
# The largest number that Kubernetes allows.
_LARGEST = (1 << 31) - 1
# A holder that ends lets others wait this long, as client-go does.
_RELEASED_SECONDS = 1


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """
    A Lease as the API server returned it.

    `holder` is "" if it was released. `version` changes with each change of the object; `whole` is the object itself.
    """

    holder: str
    duration_seconds: int
    version: str
    transitions: int
    acquired_at: str
    whole: Mapping[str, Any] = field(repr=False)


def parse_lease(data: bytes) -> LeaseRecord:
    """
    Return the Lease in *data*, a response of the API server.

    Raises:
        ValueError: It is none.
    """
    try:
        whole = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(whole, dict) or whole.get("kind") != _KIND:
        raise ValueError("it is not an object of the kind Lease")
    metadata, spec = _read_object(whole, "metadata"), _read_object(whole, "spec")
    version = _read_text(metadata, "resourceVersion")
    if not version:
        raise ValueError("`metadata.resourceVersion` is missing")
    return LeaseRecord(
        holder=_read_text(spec, "holderIdentity"),
        duration_seconds=_read_number(spec, "leaseDurationSeconds"),
        version=version,
        transitions=_read_number(spec, "leaseTransitions"),
        acquired_at=_read_text(spec, "acquireTime"),
        whole=whole,
    )


def _read_object(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name) or {}
    if not isinstance(value, dict):
        raise ValueError(f"`{name}` is not an object")  # noqa: TRY004 - the only error that callers know
    return value


def _read_text(entry: Mapping[str, Any], name: str) -> str:
    text = entry.get(name)
    if text is None:
        return ""
    if not isinstance(text, str) or len(text) > _TEXT_LIMIT:
        raise ValueError(f"`{name}` is not a short text")
    return text


def _read_number(entry: Mapping[str, Any], name: str) -> int:
    number = entry.get(name)
    if number is None:
        return 0
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _LARGEST:
        raise ValueError(f"`{name}` is not a number from 0 to {_LARGEST}")
    return number


def write_held(record: LeaseRecord | None, *, name: str, namespace: str, holder: str, duration_seconds: int, now: datetime) -> bytes:
    """Return the Lease of *holder*, made from *record* if there is one."""
    moment = _format_moment(now)
    is_same = record is not None and record.holder == holder
    before = 0 if record is None else record.transitions
    changes = {
        "holderIdentity": holder,
        "leaseDurationSeconds": duration_seconds,
        "acquireTime": record.acquired_at if record is not None and is_same and record.acquired_at else moment,
        "renewTime": moment,
        "leaseTransitions": before if is_same or record is None else min(before + 1, _LARGEST),
    }
    if record is None:
        whole: Mapping[str, Any] = {"apiVersion": _API_VERSION, "kind": _KIND, "metadata": {"name": name, "namespace": namespace}}
    else:
        whole = record.whole
    return _pack(whole, changes)


def write_released(record: LeaseRecord, *, now: datetime) -> bytes:
    """Return the Lease without a holder, so that others take it soon."""
    return _pack(record.whole, {"holderIdentity": "", "leaseDurationSeconds": _RELEASED_SECONDS, "renewTime": _format_moment(now)})


def _pack(whole: Mapping[str, Any], changes: Mapping[str, object]) -> bytes:
    return json.dumps({**whole, "spec": {**(whole.get("spec") or {}), **changes}}).encode()


def _format_moment(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
