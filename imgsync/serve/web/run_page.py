"""What the page of a run shows of its document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from imgsync.serve.web.words import COUNT_NAMES
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes, format_duration

_SHOWN = 200
_PROBLEMS = ("failed", "refused")
_NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Problem:
    """What failed, and what to do."""

    mirror: str
    name: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Row:
    """One image that moved, or that a plan would change."""

    name: str
    source: str
    mirror: str
    kind: str
    words: str
    why: str
    size: str
    duration: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Problems and rows, and how many of each are not shown."""

    problems: tuple[Problem, ...]
    rows: tuple[Row, ...]
    problems_omitted: int
    rows_omitted: int


def read_run_facts(document: Mapping[str, Any]) -> RunFacts:
    """Return what to show of an imgsync.run/v1."""
    problems = [*_list_problems(document)]
    outcomes, changes = _list(document, "outcomes"), _list(document, "changes")
    rows = [*map(_read_outcome, (one for one in outcomes if one.get("result") not in _PROBLEMS)), *map(_read_change, changes)]
    left_out = document.get("left_out")
    left = left_out if isinstance(left_out, Mapping) else {}
    more_rows = _number(left, "outcomes") + _number(left, "changes")
    return RunFacts(
        tuple(problems[:_SHOWN]),
        tuple(rows[:_SHOWN]),
        max(0, len(problems) - _SHOWN) + _number(left, "errors"),
        max(0, len(rows) - _SHOWN) + more_rows,
    )


def _list_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    for one in _list(document, "errors"):
        yield Problem(_text(one, "mirror"), _text(one, "reference"), *_split_hint(one, "message"))
    for one in _list(document, "outcomes"):
        if one.get("result") in _PROBLEMS:
            message, hint = _split_hint(one, "error")
            yield Problem(_text(one, "mirror"), _text(one, "destination"), message or _text(one, "reason"), hint)


def _split_hint(entry: Mapping[str, Any], name: str) -> tuple[str, str]:
    """Return a message and its hint, which documents append."""
    hint = _text(entry, "hint")
    return _text(entry, name).removesuffix(f" ({hint})"), hint


def _read_outcome(one: Mapping[str, Any]) -> Row:
    seconds = one.get("seconds")
    taken = format_duration(seconds) if isinstance(seconds, int | float) and seconds else _NOTHING
    return _make_row(one, _text(one, "result"), _text(one, "error") or _text(one, "reason"), _number(one, "bytes_copied"), taken)


def _read_change(one: Mapping[str, Any]) -> Row:
    return _make_row(one, _text(one, "action"), _text(one, "reason"), _number(one, "size_bytes"), _NOTHING)


def _make_row(one: Mapping[str, Any], count: str, reason: str, size_bytes: int, taken: str) -> Row:
    kind, words = COUNT_NAMES.get(count, ("held", count))
    size = format_bytes(size_bytes) if size_bytes else _NOTHING
    return Row(_text(one, "destination"), _text(one, "source"), _text(one, "mirror"), kind, words, reason, size, taken)


def _list(document: Mapping[str, Any], name: str) -> Iterable[Mapping[str, Any]]:
    found = document.get(name)
    return [one for one in islice(found, 100_000) if isinstance(one, Mapping)] if isinstance(found, list | tuple) else []


def _text(entry: Mapping[str, Any], name: str) -> str:
    found = entry.get(name)
    return found if isinstance(found, str) else ""


def _number(entry: Mapping[str, Any], name: str) -> int:
    found = entry.get(name)
    return found if isinstance(found, int) else 0
