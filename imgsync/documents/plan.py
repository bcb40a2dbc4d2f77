"""
imgsync.plan/v1: a plan to review and apply.

The document names the version and the declarations it was made for, and carries a checksum. A document that was edited, truncated or made
for other declarations is refused, because it was not reviewed.
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
from imgsync.documents.json_stream import Rows
from imgsync.errors import InvalidReferenceError, UsageError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Reference, Repository, is_repository_path, is_tag, parse_registry
from imgsync.plan.content import PlanContent, SharedBlob
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import COPIES, Change, MirrorNotes, Plan, PullCost, encode_canonical, iter_canonical

FORMAT = "imgsync.plan/v1"
_AGAIN = "make it again: imgsync plan --out FILE"
_COUNTED = ("create", "update", "keep", "hold", "refuse", "delete")


def encode_plan(plan: Plan, config: Config, *, explain: bool, clean: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """
    Return *plan* as a document, whose changes are `Rows`.

    *explain* adds the filter steps, *clean* hides secrets, in the document without changes and in each change.
    """
    counts = plan.counts
    changes = Rows(lambda: (clean(change.document) for change in plan.iter_changes()))
    document: dict[str, Any] = clean(
        {
            "format": FORMAT,
            "id": "",
            "created_at": plan.created_at,
            "summary": {**{name: counts[name] for name in _COUNTED}, "error": len(plan.errors), "gone": len(plan.gone), "transfer_bytes": plan.transfer_bytes},
            "changes": changes,
            "errors": encode_errors(plan.errors),
            "gone": [tag.document for tag in plan.gone],
            # Only for sources with a pull limit, such as Docker Hub.
            **({"pulls": [asdict(cost) for cost in plan.pulls]} if plan.pulls else {}),
            "mirrors": [asdict(notes if explain else replace(notes, steps=())) for notes in plan.mirrors],
            "requests": dict(plan.requests),
            "applying": dict(plan.applying),
            "seconds": plan.seconds,
            "imgsync": imgsync.__version__,
            "declarations": {mirror.name: mirror.declaration_digest for mirror in config.mirrors},
            "whole": config.is_complete,
            "only": [pattern.text for pattern in config.only],
            "uncompared": list(plan.uncompared),
            # Only in a plan of `--have` or `--since`.
            **({"for_bundle": True} if plan.is_for_bundle else {}),
            # Only in a saved plan, for shards.
            **({"content": plan.content.document} if plan.content is not None else {}),
        }
    )
    # Hashed as printed, so that anyone can compute the id from the document.
    document["id"], check = _hash_document(document)
    return document | {"check": check}


def decode_plan(document: Mapping[str, Any], *, name: str) -> Plan:
    """
    Return the plan in *document*, read from the file *name*.

    Raises:
        UsageError: It is not a plan, has another version, or was edited or damaged.
    """
    check_format(document, FORMAT, name=name)
    plan_id, check = _hash_document(document)
    if document.get("check") != check:
        raise UsageError(f"{name} was edited or damaged since it was made: the checksum does not match", hint=_AGAIN)
    with name_damage("plan", name=name, hint=_AGAIN):
        known, summary = decode_field(document, "id", str), document.get("summary")
        for count in (*_COUNTED, "error"):
            decode_field(summary, count, int)
        decode_field(summary, "gone", int, default=0)
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
            gone=decode_field(document, "gone", tuple[GoneTag, ...], default=()),
            is_for_bundle=decode_field(document, "for_bundle", bool, default=False),
            content=decode_field(document, "content", PlanContent | None, default=None),
        )
        for change, entry in zip(plan.changes, document["changes"], strict=True):
            check_change(change)
            # Made from the reason.
            decode_field(entry, "hint", str, default="")
        _check_content(plan)
    if known != plan_id:
        raise UsageError(f"{name} was edited or damaged since it was made: the changes do not match the id {known}", hint=_AGAIN)
    # A later version may add fields to changes, and its id covers them. Computing it again would read every change.
    return replace(plan, known_id=known)


def check_made_for(document: Mapping[str, Any], config: Config, *, name: str) -> frozenset[str]:
    """
    Return the mirrors that *document* was made for.

    Raises:
        UsageError: Another version of imgsync made it, or a declaration in *config* differs.
    """
    if document.get("imgsync") != imgsync.__version__:
        raise UsageError(f"{name} was made by imgsync {document.get('imgsync')}, not {imgsync.__version__}", hint=f"use the same version, or {_AGAIN}")
    with name_damage("plan", name=name, hint=_AGAIN):
        made_for: dict[str, str] = decode_field(document, "declarations", dict[str, str])
        whole: bool = decode_field(document, "whole", bool)
    read_only(document, name=name)
    declared = {mirror.name: mirror.declaration_digest for mirror in config.mirrors}
    gone = [mirror for mirror in made_for if mirror not in declared]
    changed = [mirror for mirror, digest in made_for.items() if mirror in declared and declared[mirror] != digest]
    added = [mirror for mirror in declared if mirror not in made_for] if whole and config.is_complete else []
    differing = [f"{what}: {', '.join(names)}" for what, names in (("no longer declared", gone), ("changed", changed), ("added", added)) if names]
    if differing:
        raise UsageError(f"{name} was made for another configuration ({'; '.join(differing)})", hint=_AGAIN)
    return frozenset(made_for)


def read_only(document: Mapping[str, Any], *, name: str) -> tuple[str, ...]:
    """Return what `--only` selected when the plan was made."""
    with name_damage("plan", name=name, hint=_AGAIN):
        found: tuple[str, ...] = decode_field(document, "only", tuple[str, ...])
        return found


def check_applicable(plan: Plan, *, name: str) -> None:
    """
    Return if *plan* was made by asking its destinations.

    Raises:
        UsageError: It was made with `--have` or `--since`, whose destinations cannot be reached.
    """
    if plan.is_for_bundle:
        raise UsageError(
            f"{name} is the plan of a bundle: it was made with --have or --since, and its destinations were not asked",
            hint=f"make the bundle: imgsync bundle create --plan {name} --out DIR, with the same --have or --since; for `apply`, plan without them",
        )


def check_compared(plan: Plan, *, name: str) -> None:
    """
    Return if every destination of *plan* was compared.

    Raises:
        UsageError: One requires a login: tags to create may exist there already, with other content.
    """
    if plan.uncompared:
        raise UsageError(f"{name} was made without comparing {', '.join(plan.uncompared)}, which requires a login", hint=f"log in there, and {_AGAIN}")


def _hash_document(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the id of the changes, and the checksum of *document*."""
    of_changes, of_all = hashlib.sha256(), hashlib.sha256()
    for number, name in enumerate(sorted(document.keys() - {"check"})):
        of_all.update((b"," if number else b"{") + encode_canonical(name) + b":")
        value = document[name]
        if name == "changes" and isinstance(value, list | Rows):
            for text in iter_canonical(value):
                of_changes.update(text)
                of_all.update(text)
        else:
            # The id comes after the changes, and is not known before.
            of_all.update(encode_canonical(value or of_changes.hexdigest()[:8] if name == "id" else value))
    of_all.update(b"}")
    return of_changes.hexdigest()[:8], of_all.hexdigest()


def _is_valid(reference: Reference) -> bool:
    named = is_tag(reference.tag) if reference.tag else bool(reference.digest)
    return named and (not reference.digest or is_digest(reference.digest)) and _is_valid_repository(reference.repository)


@functools.lru_cache(maxsize=4096)
def _is_valid_repository(repository: Repository) -> bool:
    try:
        return parse_registry(repository.registry) == repository.registry and is_repository_path(repository.path)
    except InvalidReferenceError:
        return False


def check_change(change: Change) -> None:
    """
    Check the digests, references and size of *change*.

    Raises:
        ValueError: One is not what it says.
    """
    for digest in (change.source_digest, change.destination_digest, change.pushed_digest):
        if digest is not None and not is_digest(digest):
            raise ValueError(f"{digest!r} is not a digest")
    for reference in (change.source, change.destination):
        if not _is_valid(reference):
            raise ValueError(f"{str(reference)!r} is not a reference")
    if change.size_bytes is not None and change.size_bytes < 0:
        raise ValueError(f"{change.size_bytes} is not a size")


def _check_content(plan: Plan) -> None:
    for blob in plan.content.shared if plan.content is not None else ():
        _check_shared(blob, plan)
    for one in plan.content.repositories if plan.content is not None else ():
        if one.own_bytes < 0 or one.requests < 0:
            raise ValueError(f"{one.own_bytes} is not a size, or {one.requests} not a count")


def _check_shared(blob: SharedBlob, plan: Plan) -> None:
    """Check that *blob* is of copies to several repositories, between two registries."""
    if not is_digest(blob.digest) or blob.size_bytes < 0:
        raise ValueError(f"{blob.digest!r} is not a digest, or {blob.size_bytes} not a size")
    if not all(0 <= number < len(plan.changes) for number in blob.changes):
        raise ValueError(f"{blob.digest} names a change that is not there")
    changes = [plan.changes[number] for number in blob.changes]
    registries = {(change.source.repository.registry, change.destination.repository.registry) for change in changes}
    if len(changes) < 2 or len({change.destination.repository for change in changes}) < len(changes) or len(registries) > 1:
        raise ValueError(f"{blob.digest} is not shared by repositories of one registry")
    if any(change.action not in COPIES for change in changes):
        raise ValueError(f"{blob.digest} is of a change that copies nothing")
