"""Long lists of a report, folded by mirror and repository."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from heapq import nsmallest

from imgsync.apply.report import Outcome, Report, Result
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Reference
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.model import PlanError
from imgsync.render.plan_summary import describe_reason
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count, format_duration

# Of all lists together, so that a browser opens the page at once.
_MAX_CHARACTERS = 3 << 20
# The elements around a row's texts.
_ROW_MARKUP = 100
# The longest list that begins unfolded.
_MAX_OPEN_ROWS = 20
# A list of more rows can be searched, and has its largest listed.
_MAX_READ = 10


@dataclass(frozen=True, slots=True)
class Row:
    """
    One image in a list.

    `name` is its tag, or its whole name where no fold names the repository.
    """

    name: str
    digest: str = ""
    size: str = ""
    duration: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows under one name, with their sums."""

    name: str
    count: str
    size: str
    duration: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class MirrorFold:
    """The images of a mirror: repositories with several, then the others."""

    name: str
    count: str
    size: str
    duration: str
    repositories: tuple[Fold, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class FoldedList:
    """The images with one result, by mirror."""

    kind: str
    title: str
    lead: str
    count: int
    mirrors: tuple[MirrorFold, ...]
    is_open: bool
    omitted: int

    @property
    def is_searchable(self) -> bool:
        """Return whether the page offers to search the list."""
        return self.has_costs and self.count > _MAX_READ

    @property
    def has_costs(self) -> bool:
        """Return whether the rows have sizes and times."""
        return self.kind == Result.COPIED


@dataclass(frozen=True, slots=True)
class _Item:
    """One image, before it is formatted."""

    mirror: str
    repository: str
    tag: str
    digest: str = ""
    bytes_copied: int = 0
    seconds: float = 0.0
    reason: str = ""


def list_folds(report: Report) -> list[FoldedList]:
    """Return the lists of *report*, the most important first; none empty."""
    later = [_make_error_item(error) for error in report.errors if error.later]
    stopped = f"Stopped: {sanitize_short(report.stopped)}. Run it again to continue." if report.stopped else ""
    room = _Room()
    lists = (
        _fold("remaining", "Left for the next run", stopped, [*map(_make_left_item, report.select(Result.REMAINING)), *later], room),
        _fold("deleted", "Deleted", "", [_make_reason_item(outcome, "") for outcome in report.select(Result.DELETED)], room),
        _fold("gone", "Gone at the source, kept here", "", list(map(_make_gone_item, report.gone)), room),
        _fold("held", "On hold", "", [_make_reason_item(outcome, report.created_at) for outcome in report.select(Result.HELD)], room),
        _fold("copied", "Copied", "", list(map(_make_copied_item, report.select(Result.COPIED))), room),
    )
    return [found for found in lists if found.count]


def list_largest(report: Report) -> list[Row]:
    """Return the largest copies; empty if the list of copies is short."""
    copied = (outcome for outcome in report.select(Result.COPIED) if outcome.bytes_copied > 0)
    largest = nsmallest(_MAX_READ + 1, copied, key=lambda outcome: -outcome.bytes_copied)
    return [_make_row(_make_copied_item(outcome), is_whole=True) for outcome in largest[:_MAX_READ]] if len(largest) > _MAX_READ else []


class _Room:
    """The characters that are left for lists."""

    def __init__(self) -> None:
        self._left = _MAX_CHARACTERS

    def take(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """Return the first of *items* that fit."""
        repository = ""
        for number, item in enumerate(items):
            named = len(item.repository) if item.repository != repository else 0
            repository = item.repository
            self._left -= _ROW_MARKUP + named + len(item.tag) + len(item.reason)
            if self._left < 0:
                return items[:number]
        return items


def _fold(kind: str, title: str, lead: str, items: Sequence[_Item], room: _Room) -> FoldedList:
    shown = room.take(items)
    mirrors = tuple(_fold_mirror(name, found) for name, found in _group(shown, lambda item: item.mirror))
    return FoldedList(kind, title, lead, len(items), mirrors, len(items) <= _MAX_OPEN_ROWS, len(items) - len(shown))


def _fold_mirror(name: str, items: Sequence[_Item]) -> MirrorFold:
    repositories = _group(items, lambda item: item.repository)
    folds = tuple(
        Fold(sanitize_short(repository), *_sum(found), tuple(_make_row(item) for item in found)) for repository, found in repositories if len(found) > 1
    )
    rows = tuple(_make_row(found[0], is_whole=True) for _, found in repositories if len(found) == 1)
    return MirrorFold(sanitize_short(name), *_sum(items), folds, rows)


def _group(items: Iterable[_Item], key: Callable[[_Item], str]) -> list[tuple[str, list[_Item]]]:
    groups: defaultdict[str, list[_Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return list(groups.items())


def _sum(items: Sequence[_Item]) -> tuple[str, str, str]:
    size, seconds = sum(item.bytes_copied for item in items), sum(item.seconds for item in items)
    return f"{format_count(len(items), 'image')}", format_bytes(size), format_duration(seconds)


def _make_row(item: _Item, *, is_whole: bool = False) -> Row:
    name = f"{item.repository}{item.tag}" if is_whole else item.tag.removeprefix(":")
    texts = (name, item.digest, format_bytes(item.bytes_copied), format_duration(item.seconds), item.reason)
    return Row(*map(sanitize_short, texts))


def _make_copied_item(outcome: Outcome) -> _Item:
    return _make_item(outcome, digest=shorten_digest(outcome.digest or ""))


def _make_left_item(outcome: Outcome) -> _Item:
    return _make_item(outcome, reason=outcome.error or "")


def _make_reason_item(outcome: Outcome, now: str) -> _Item:
    return _make_item(outcome, reason=describe_reason(outcome.change, now=now))


def _make_error_item(error: PlanError) -> _Item:
    return _Item(error.mirror, error.reference, "", reason=error.message)


def _make_gone_item(tag: GoneTag) -> _Item:
    return _Item(tag.mirror, *_split(tag.destination), reason=tag.description)


def _split(destination: Reference) -> tuple[str, str]:
    """Return the repository of *destination*, and its tag or digest."""
    repository = str(destination.repository)
    return repository, str(destination).removeprefix(repository)


def _make_item(outcome: Outcome, *, digest: str = "", reason: str = "") -> _Item:
    change = outcome.change
    return _Item(change.mirror, *_split(change.destination), digest, outcome.bytes_copied, outcome.seconds, reason)
