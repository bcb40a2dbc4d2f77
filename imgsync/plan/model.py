"""What a plan is: a sorted value made before anything is written (design.md §4)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from imgsync.oci.spec.reference import Reference


class Action(StrEnum):
    """What to do with one destination reference."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"
    HOLD = "hold"
    REFUSE = "refuse"
    DELETE = "delete"

    @property
    def glyph(self) -> str:
        """Return the sign users of Terraform know: + ~ = ? ! -."""
        return {"create": "+", "update": "~", "keep": "=", "hold": "?", "refuse": "!", "delete": "-"}[self.value]


COPIES = frozenset({Action.CREATE, Action.UPDATE})
PENDING = COPIES | {Action.DELETE}


@dataclass(frozen=True, slots=True)
class Change:
    """One destination reference and what to do with it; unknown is None. Fields are those of imgsync.plan/v1."""

    action: Action
    mirror: str
    source: Reference
    source_digest: str | None
    destination: Reference
    destination_digest: str | None
    media_type: str | None
    size_bytes: int | None
    reason: str

    @property
    def document(self) -> dict[str, Any]:
        """Return the change as a plan's document has it."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"action": self.action.value, "source": str(self.source), "destination": str(self.destination)}


@dataclass(frozen=True, slots=True)
class PlanError:
    """Something that could not be planned: which mirror, which reference, why; `later` when it is left for another run rather than wrong."""

    mirror: str
    reference: str
    message: str
    hint: str = ""
    later: bool = False


@dataclass(frozen=True, slots=True)
class FilterStep:
    """One step of a tag filter over one repository: tags left, tags dropped (for `--explain`)."""

    repository: str
    step: str
    left: int
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MirrorNotes:
    """What a reader should know of one mirror: from → to, where declared, notes, filter attrition, requests."""

    mirror: str
    source: str
    destinations: tuple[str, ...]
    file: str
    line: int
    suspended: bool = False
    notes: tuple[str, ...] = ()
    steps: tuple[FilterStep, ...] = ()


@dataclass(frozen=True, slots=True)
class PullCost:
    """What applying the plan costs of the pulls that a source registry allows, and what that registry said is left (None: it did not say)."""

    registry: str
    pulls: int
    remaining: int
    limit: int | None = None
    window_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Every change, sorted by mirror, action and reference; errors; and what no decision rests on, `notes` among it for people.

    `requests` are those that planning took, `applying` those that applying will take at most, both by side. `uncompared` are destination
    registries that were not looked at, having let nobody in without a login: such a plan is to be read, not applied.
    """

    changes: tuple[Change, ...]
    errors: tuple[PlanError, ...] = ()
    mirrors: tuple[MirrorNotes, ...] = ()
    transfer_bytes: int = 0
    created_at: str = ""
    requests: tuple[tuple[str, int], ...] = ()
    seconds: float = 0.0
    applying: tuple[tuple[str, int], ...] = ()
    pulls: tuple[PullCost, ...] = ()
    notes: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()
    saved_id: str = ""

    @property
    def id(self) -> str:
        """Return the first eight hex digits of the SHA-256 of the canonical JSON of `changes`, as they were when the plan was saved, if it was."""
        return self.saved_id or hash_changes([change.document for change in self.changes])

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of changes per action, every action present."""
        found = Counter(change.action for change in self.changes)
        return {action.value: found[action] for action in Action}

    @property
    def copies(self) -> tuple[Change, ...]:
        """Return what is to be copied: creates and updates."""
        return tuple(change for change in self.changes if change.action in COPIES)

    @property
    def deletions(self) -> tuple[Change, ...]:
        """Return what is to be deleted."""
        return tuple(change for change in self.changes if change.action is Action.DELETE)

    @property
    def pending(self) -> tuple[Change, ...]:
        """Return what `apply` would do: creates, updates, deletes."""
        return tuple(change for change in self.changes if change.action in PENDING)


def hash_changes(changes: object) -> str:
    """Return the id of a plan with these *changes*, as its document has them: the first eight hex digits of the SHA-256 of their canonical JSON."""
    return hashlib.sha256(encode_canonical(changes)).hexdigest()[:8]


def encode_canonical(document: object) -> bytes:
    """Return *document* as JSON that is the same however it was written: keys sorted, no spaces, nothing escaped that need not be."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
