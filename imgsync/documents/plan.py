"""
imgsync.plan/v1: a plan to review, and to apply exactly as it was reviewed (design.md §4).

The document carries what it was made by and for, and a check over all of it: one that was edited, cut short, or made for
other declarations is refused, since nobody reviewed it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import imgsync
from imgsync.config.model import Config
from imgsync.documents.form import check_format, errors_document, errors_of
from imgsync.errors import UsageError
from imgsync.oci.digest import is_digest
from imgsync.plan.model import Action, Change, FilterStep, MirrorNotes, Plan, PullCost

FORMAT = "imgsync.plan/v1"
_AGAIN = "make it again: imgsync plan --out FILE"
_COUNTED = ("create", "update", "keep", "hold", "refuse", "delete")


def plan_document(plan: Plan, config: Config, *, explain: bool, clean: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """Return *plan*, made for *config*, as the fields of imgsync.plan/v1; *explain* adds how the filters chose, *clean* hides secrets."""
    counts = plan.counts
    document: dict[str, Any] = clean(
        {
            "format": FORMAT,
            "id": plan.id,
            "created_at": plan.created_at,
            "summary": {**{name: counts[name] for name in _COUNTED}, "error": len(plan.errors), "transfer_bytes": plan.transfer_bytes},
            "changes": [{**change.document, "action": change.action.value} for change in plan.changes],
            "errors": errors_document(plan.errors),
            # Only where a source counts pulls, as Docker Hub does.
            **({"pulls": [asdict(cost) for cost in plan.pulls]} if plan.pulls else {}),
            "mirrors": [asdict(notes if explain else replace(notes, steps=())) for notes in plan.mirrors],
            "requests": dict(plan.requests),
            "applying": dict(plan.applying),
            "seconds": plan.seconds,
            "imgsync": imgsync.__version__,
            "declarations": {mirror.name: mirror.declaration for mirror in config.mirrors},
            "whole": config.whole,
            "uncompared": list(plan.uncompared),
        }
    )
    return document | {"check": _check(document)}


def plan_of(document: Mapping[str, Any], *, name: str) -> Plan:
    """
    Return the plan that *document*, from the file *name*, tells of.

    Raises:
        UsageError: It is none, of another version, edited or damaged.
    """
    check_format(document, FORMAT, name=name)
    if document.get("check") != _check(document):
        raise UsageError(f"{name} was edited or damaged since it was made: its check does not fit", hint=_AGAIN)
    try:
        plan = Plan(
            changes=tuple(_change(entry) for entry in document["changes"]),
            errors=errors_of(document),
            mirrors=tuple(_notes(entry) for entry in document["mirrors"]),
            transfer_bytes=int(document["summary"]["transfer_bytes"]),
            created_at=str(document["created_at"]),
            requests=tuple((str(side), int(count)) for side, count in document["requests"].items()),
            seconds=float(document["seconds"]),
            applying=tuple((str(side), int(count)) for side, count in document["applying"].items()),
            uncompared=tuple(str(registry) for registry in document.get("uncompared") or ()),
            pulls=tuple(_known(PullCost, entry) for entry in document.get("pulls") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{name} is damaged: it is no whole plan ({type(error).__name__}: {error})", hint=_AGAIN) from error
    if plan.id != document["id"]:
        raise UsageError(f"{name} was edited or damaged since it was made: its changes do not fit its id {document['id']}", hint=_AGAIN)
    return plan


def check_made_for(document: Mapping[str, Any], config: Config, *, name: str) -> None:
    """
    Return when the plan in *document* was made by this imgsync for exactly what *config* declares; one that was made for a part of it will do.

    Raises:
        UsageError: It was not, and says which declaration differs.
    """
    if document.get("imgsync") != imgsync.__version__:
        raise UsageError(f"{name} was made by imgsync {document.get('imgsync')}, this is {imgsync.__version__}", hint=f"use the same version, or {_AGAIN}")
    if document.get("uncompared"):
        raise UsageError(
            f"{name} was made without a look at {', '.join(map(str, document['uncompared']))}, which wants a login",
            hint=f"log in there, and {_AGAIN}",
        )
    made_for = document.get("declarations")
    if not isinstance(made_for, dict):
        raise UsageError(f"{name} does not say what it was made for", hint=_AGAIN)
    declared = {mirror.name: mirror.declaration for mirror in config.mirrors}
    gone = [mirror for mirror in made_for if mirror not in declared]
    changed = [mirror for mirror, digest in made_for.items() if mirror in declared and declared[mirror] != digest]
    added = [mirror for mirror in declared if mirror not in made_for] if document.get("whole") is True and config.whole else []
    differing = [f"{what}: {', '.join(names)}" for what, names in (("no longer declared", gone), ("changed", changed), ("added", added)) if names]
    if differing:
        raise UsageError(f"{name} was made for another configuration ({'; '.join(differing)})", hint=_AGAIN)


def _check(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _change(entry: Mapping[str, Any]) -> Change:
    for digest in (entry["source_digest"], entry["destination_digest"]):
        if digest is not None and not is_digest(digest):
            raise ValueError(f"{digest!r} is no digest")
    texts = [entry[name] for name in ("mirror", "source", "destination", "reason")]
    size = entry["size_bytes"]
    if not all(isinstance(text, str) for text in texts) or not (size is None or (type(size) is int and size >= 0)):
        raise ValueError("a change has fields of the wrong kind")
    change: Change = _known(Change, {**entry, "action": Action(entry["action"])})
    return change


def _notes(entry: Mapping[str, Any]) -> MirrorNotes:
    lists = {name: tuple(entry[name]) for name in ("destinations", "notes")}
    steps = tuple(_known(FilterStep, {**step, "dropped": tuple(step["dropped"])}) for step in entry["steps"])
    notes: MirrorNotes = _known(MirrorNotes, {**entry, **lists, "steps": steps})
    return notes


def _known(kind: Any, entry: Mapping[str, Any]) -> Any:
    """Return a value of the dataclass *kind* by the fields it knows; what a later version added is passed over."""
    return kind(**{field.name: entry[field.name] for field in dataclasses.fields(kind)})
