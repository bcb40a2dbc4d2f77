"""The plan as a value."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imgsync.oci.spec.reference import Reference
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.refusal import advise_refusal
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.plan.content import PlanContent
    from imgsync.plan.packed_changes import PackedChanges


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
        """Return the sign of the action, as in Terraform."""
        return {"create": "+", "update": "~", "keep": "=", "hold": "?", "refuse": "!", "delete": "-"}[self.value]


Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)

# Fields that older documents lack.
_LEFT_OUT_SHOWN = 3
_OPTIONAL = frozenset({"held_until", "left_out", "gone_since", "pushed_digest"})
# The filter step of exact names that a repository does not have.
NOT_FOUND = "names not found"
COPIES = frozenset({Action.CREATE, Action.UPDATE})
PENDING = COPIES | {Action.DELETE}
_UNCHANGED = frozenset(Action) - PENDING


@dataclass(frozen=True, slots=True)
class Change:
    """
    One destination reference and what to do with it.

    The fields are those of imgsync.plan/v1. `pushed_digest` is what the destination will serve, if it differs from `source_digest`.
    """

    action: Action
    mirror: str
    source: Reference
    source_digest: str | None
    destination: Reference
    destination_digest: str | None
    media_type: str | None
    size_bytes: int | None
    reason: str
    held_until: str | None = None
    left_out: tuple[str, ...] = ()
    gone_since: str | None = None
    pushed_digest: str | None = None

    @property
    def advice(self) -> str:
        """Return what to do about a refused change, "" for others."""
        return advise_refusal(self.reason) if self.action is Action.REFUSE else ""

    @property
    def document(self) -> dict[str, Any]:
        """Return the fields of the change in JSON."""
        fields = {name: value for name in self.__slots__ if (value := getattr(self, name)) or name not in _OPTIONAL}
        hint = {"hint": self.advice} if self.action is Action.REFUSE else {}
        return fields | {"action": self.action.value, "source": str(self.source), "destination": str(self.destination)} | hint


class KeptTags(Protocol[Value_co]):
    """The kept tags of one mirror, sorted; each reading makes them again."""

    @property
    def mirror(self) -> str:
        """Return the name of the mirror."""

    def __len__(self) -> int:
        """Return their number."""

    def __iter__(self) -> Iterator[Value_co]:
        """Yield each."""


class KeptView:
    """The kept changes of one mirror, as *read* yields them."""

    def __init__(self, kept: KeptTags[Change], read: Callable[[Iterable[Change]], Iterator[Change]]) -> None:
        """Read nothing yet."""
        self._kept = kept
        self._read = read
        self.mirror = kept.mirror

    def __len__(self) -> int:
        """Return their number."""
        return len(self._kept)

    def __iter__(self) -> Iterator[Change]:
        """Yield each."""
        return self._read(self._kept)


@dataclass(frozen=True, slots=True)
class PlanError:
    """
    Something that could not be planned.

    `later` says that the next run will handle it. `planned` says that planning was fine, and that part of applying the plan failed or is missing.
    """

    mirror: str
    reference: str
    message: str
    hint: str = ""
    later: bool = False
    planned: bool = False


@dataclass(frozen=True, slots=True)
class FilterStep:
    """One step of a repository's tag filter, for `--explain`."""

    repository: str
    step: str
    left: int
    dropped: tuple[str, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class MirrorNotes:
    """
    What a reader should know about one mirror.

    `pruning_skipped` says why nothing is pruned, "" if pruning was planned or not declared. `returned` are destinations whose tag was gone, and
    is back at the source.
    """

    mirror: str
    source: str
    destinations: tuple[str, ...]
    file: str
    line: int
    suspended: bool = False
    notes: tuple[str, ...] = ()
    steps: tuple[FilterStep, ...] = ()
    pruning_skipped: str = ""
    returned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PullCost:
    """The pulls that applying needs, and the registry's limit."""

    registry: str
    pulls: int
    remaining: int
    limit: int | None = None
    window_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """
    All changes, sorted, with errors and statistics.

    Attributes:
        changes: The changes of which all is held. Of a plan that was just made, these are all but the kept ones.
        requests: Number of requests that planning used, by side.
        applying: Number of requests that applying needs at most, by side.
        notes: Notes for the reader, such as tags that moved since the plan was saved.
        uncompared: Registries that require a login that we do not have; such a plan cannot be applied.
        gone: Tags that stay at a destination although the source no longer has them.
        known_id: The id with which the plan was made or saved, "" to compute it.
        is_for_bundle: Whether files or bundles stand for the destinations, so that only `bundle create` can use the plan.
        part: Which part of a saved plan this is, "" for the whole.
        content: What copying brings to each repository, for shards; only a saved plan has it.
        kept: The kept changes, by mirror. Reading them takes time.
    """

    changes: tuple[Change, ...] | PackedChanges
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
    gone: tuple[GoneTag, ...] = ()
    known_id: str = ""
    content: PlanContent | None = None
    is_for_bundle: bool = False
    part: str = ""
    kept: tuple[KeptTags[Change], ...] = ()

    @property
    def id(self) -> str:
        """Return the hash of the changes as saved."""
        return self.known_id or hash_changes(change.document for change in self.iter_changes())

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of changes per action."""
        found = count_actions(self.changes)
        found[Action.KEEP] += sum(map(len, self.kept))
        return {action.value: found[action] for action in Action}

    def iter_changes(self) -> Iterator[Change]:
        """Yield every change in order, also the kept ones."""
        return insert_kept(self.changes, self.kept, lambda change: change.mirror)

    @property
    def copies(self) -> Collection[Change]:
        """Return the creates and updates."""
        return self.select(COPIES)

    @property
    def deletions(self) -> Collection[Change]:
        """Return the deletes."""
        return self.select(frozenset({Action.DELETE}))

    @property
    def returned(self) -> tuple[str, ...]:
        """Return the destinations whose tag is back at the source."""
        return tuple(destination for notes in self.mirrors for destination in notes.returned)

    @property
    def pending(self) -> Collection[Change]:
        """Return the creates, updates and deletes."""
        return self.select(PENDING)

    @property
    def unchanged(self) -> Collection[Change]:
        """Return the other changes that are held."""
        return self.select(_UNCHANGED)

    def select(self, actions: Collection[Action]) -> Collection[Change]:
        """Return the held changes with one of *actions*."""
        if not isinstance(self.changes, tuple):
            return self.changes.select(actions)
        return tuple(change for change in self.changes if change.action in actions)


def get_pushed_digest(change: Change) -> str | None:
    """Return the digest that the destination serves after *change*."""
    return change.pushed_digest or change.source_digest


def count_actions(changes: tuple[Change, ...] | PackedChanges) -> Counter[Action]:
    """Return the number of *changes* by action."""
    if isinstance(changes, tuple):
        return Counter(change.action for change in changes)
    found: Counter[Action] = Counter()
    for (_, action), count in changes.counts.items():
        found[action] += count
    return found


def insert_kept(values: Iterable[Value], kept: Iterable[KeptTags[Value]], find_mirror: Callable[[Value], str]) -> Iterator[Value]:
    """
    Yield *values*, and after those of each mirror its *kept* ones.

    Both are in the order of the mirrors.
    """
    rest = iter(values)
    value = next(rest, None)
    for some in kept:
        while value is not None and find_mirror(value) == some.mirror:
            yield value
            value = next(rest, None)
        yield from some
    if value is not None:
        yield value
        yield from rest


def summarize_left_out(parts: Sequence[str]) -> str:
    """Return the *parts* that are left out as a short text."""
    more = [f"{len(parts) - _LEFT_OUT_SHOWN} more"] if len(parts) > _LEFT_OUT_SHOWN else []
    return f"left out: {', '.join([*parts[:_LEFT_OUT_SHOWN], *more])}"


def hash_changes(changes: Iterable[object]) -> str:
    """
    Return the plan id of *changes*.

    It is eight hex digits of the SHA-256 of their canonical JSON, a list. The text is never whole in memory.
    """
    found = hashlib.sha256()
    for text in iter_canonical(changes):
        found.update(text)
    return found.hexdigest()[:8]


def iter_canonical(values: Iterable[object]) -> Iterator[bytes]:
    """Yield the list of *values* as canonical JSON, in pieces."""
    yield b"["
    for number, value in enumerate(values):
        yield (b"," if number else b"") + encode_canonical(value)
    yield b"]"


def encode_canonical(document: object) -> bytes:
    """
    Return *document* as canonical JSON.

    Keys are sorted; there are no spaces and no unnecessary escapes.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
