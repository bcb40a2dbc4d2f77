"""
imgsync.plan/v1: a plan to review, and to apply exactly as it was reviewed (design.md §4).

The document carries what it was made by and for, and a check over all of it: one that was edited, cut short, or made for
other declarations is refused, since nobody reviewed it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import imgsync
from imgsync.config.model import Config
from imgsync.documents.decode import decode_field
from imgsync.documents.envelope import check_format, decode_errors, encode_errors, name_damage
from imgsync.errors import InvalidReferenceError, UsageError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Reference, Repository, is_repository_path, is_tag, parse_registry
from imgsync.plan.model import Change, MirrorNotes, Plan, PullCost, encode_canonical, hash_changes

FORMAT = "imgsync.plan/v1"
_AGAIN = "make it again: imgsync plan --out FILE"
_COUNTED = ("create", "update", "keep", "hold", "refuse", "delete")


def encode_plan(plan: Plan, config: Config, *, explain: bool, clean: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """Return *plan*, made for *config*, as the fields of imgsync.plan/v1; *explain* adds how the filters chose, *clean* hides secrets."""
    counts = plan.counts
    document: dict[str, Any] = clean(
        {
            "format": FORMAT,
            "id": "",
            "created_at": plan.created_at,
            "summary": {**{name: counts[name] for name in _COUNTED}, "error": len(plan.errors), "transfer_bytes": plan.transfer_bytes},
            "changes": [change.document for change in plan.changes],
            "errors": encode_errors(plan.errors),
            # Only where a source counts pulls, as Docker Hub does.
            **({"pulls": [asdict(cost) for cost in plan.pulls]} if plan.pulls else {}),
            "mirrors": [asdict(notes if explain else replace(notes, steps=())) for notes in plan.mirrors],
            "requests": dict(plan.requests),
            "applying": dict(plan.applying),
            "seconds": plan.seconds,
            "imgsync": imgsync.__version__,
            "declarations": {mirror.name: mirror.declaration_digest for mirror in config.mirrors},
            "whole": config.is_complete,
            "uncompared": list(plan.uncompared),
        }
    )
    # Of the changes as they are printed, so that whoever has the document can tell its id.
    document["id"] = hash_changes(document["changes"])
    return document | {"check": _check(document)}


def decode_plan(document: Mapping[str, Any], *, name: str) -> Plan:
    """
    Return the plan that *document*, from the file *name*, tells of.

    Raises:
        UsageError: It is none, of another version, edited or damaged.
    """
    check_format(document, FORMAT, name=name)
    if document.get("check") != _check(document):
        raise UsageError(f"{name} was edited or damaged since it was made: its check does not fit", hint=_AGAIN)
    with name_damage("plan", name=name, hint=_AGAIN):
        known, summary = decode_field(document, "id", str), document.get("summary")
        for count in (*_COUNTED, "error"):
            decode_field(summary, count, int)
        plan = Plan(
            changes=decode_field(document, "changes", tuple[Change, ...]),
            errors=decode_errors(document),
            mirrors=decode_field(document, "mirrors", tuple[MirrorNotes, ...]),
            transfer_bytes=decode_field(summary, "transfer_bytes", int),
            created_at=decode_field(document, "created_at", str),
            requests=tuple(decode_field(document, "requests", dict[str, int]).items()),
            seconds=decode_field(document, "seconds", float),
            applying=tuple(decode_field(document, "applying", dict[str, int]).items()),
            uncompared=decode_field(document, "uncompared", tuple[str, ...]),
            pulls=decode_field(document, "pulls", tuple[PullCost, ...], default=()),
        )
        for change in plan.changes:
            _check_change(change)
    if known != hash_changes(document["changes"]):
        raise UsageError(f"{name} was edited or damaged since it was made: its changes do not fit its id {known}", hint=_AGAIN)
    # A later version's changes may say more, and have the id of all that they say.
    return plan if plan.id == known else replace(plan, saved_id=known)


def check_made_for(document: Mapping[str, Any], config: Config, *, name: str) -> frozenset[str]:
    """
    Return the names of the mirrors that the plan in *document* was made for, by this imgsync, and for exactly what *config* declares of them.

    Raises:
        UsageError: It was not, and says which declaration differs.
    """
    if document.get("imgsync") != imgsync.__version__:
        raise UsageError(f"{name} was made by imgsync {document.get('imgsync')}, this is {imgsync.__version__}", hint=f"use the same version, or {_AGAIN}")
    with name_damage("plan", name=name, hint=_AGAIN):
        made_for: dict[str, str] = decode_field(document, "declarations", dict[str, str])
        whole: bool = decode_field(document, "whole", bool)
    declared = {mirror.name: mirror.declaration_digest for mirror in config.mirrors}
    gone = [mirror for mirror in made_for if mirror not in declared]
    changed = [mirror for mirror, digest in made_for.items() if mirror in declared and declared[mirror] != digest]
    added = [mirror for mirror in declared if mirror not in made_for] if whole and config.is_complete else []
    differing = [f"{what}: {', '.join(names)}" for what, names in (("no longer declared", gone), ("changed", changed), ("added", added)) if names]
    if differing:
        raise UsageError(f"{name} was made for another configuration ({'; '.join(differing)})", hint=_AGAIN)
    return frozenset(made_for)


def check_compared(plan: Plan, *, name: str) -> None:
    """
    Return when *plan*, from the file *name*, was made with a look at every destination.

    Raises:
        UsageError: One let nobody look without a login: what would be created there may be there already, and another.
    """
    if plan.uncompared:
        raise UsageError(f"{name} was made without a look at {', '.join(plan.uncompared)}, which wants a login", hint=f"log in there, and {_AGAIN}")


def _check(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(encode_canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()


def _is_sound(reference: Reference) -> bool:
    named = is_tag(reference.tag) if reference.tag else bool(reference.digest)
    return named and (not reference.digest or is_digest(reference.digest)) and _is_repository(reference.repository)


@functools.lru_cache(maxsize=4096)
def _is_repository(repository: Repository) -> bool:
    try:
        return parse_registry(repository.registry) == repository.registry and is_repository_path(repository.path)
    except InvalidReferenceError:
        return False


def _check_change(change: Change) -> None:
    for digest in (change.source_digest, change.destination_digest):
        if digest is not None and not is_digest(digest):
            raise ValueError(f"{digest!r} is no digest")
    for reference in (change.source, change.destination):
        if not _is_sound(reference):
            raise ValueError(f"{str(reference)!r} is not a reference")
    if change.size_bytes is not None and change.size_bytes < 0:
        raise ValueError(f"{change.size_bytes} is no size")
