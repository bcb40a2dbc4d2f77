"""
Version ranges as npm writes them.

`>=1.29 <2`, `^1.3 || ~2.1`, `1.x` and `1.2 - 1.4` are ranges. A range becomes a few sorted intervals, so a lookup takes the same time
with one alternative and with thousands.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from imgsync.filters.versions import LARGEST_NUMBER, Release, SemVer, split_prerelease
from imgsync.system.dataclass import dataclass

# A place between versions: just before (0) or just after (1) a version of this precedence.
_Place = tuple[tuple[Any, ...], int]
_START: _Place = ((), 0)
_END: _Place = ((math.inf,), 0)

_PARTIAL = r"[vV]? ?(?P<{0}>[0-9]+|[xX*])(?:\.([0-9]+|[xX*])(?:\.([0-9]+|[xX*])(?:-?([0-9A-Za-z-][0-9A-Za-z.-]*))?)?)?(?:\+[0-9A-Za-z.-]+)?"
_CONDITION = re.compile(rf" ?(~>|~|\^|>=|<=|==|>|<|=)? ?{_PARTIAL.format('major')}(?= |$)")
_HYPHEN = re.compile(rf"{_PARTIAL.format('low')} - {_PARTIAL.format('high')}")
_LEADING_ZERO = re.compile(r"(?<![0-9A-Za-z.+-])[vV]?((?:[0-9]+\.)*0[0-9][0-9.]*)")
_EXAMPLE = "; write one such as '>=1.29 <2' or '^1.3 || ~2.1'"
_QUOTED = 120


@dataclass(frozen=True, slots=True)
class _Partial:
    """A version with placeholders: *numbers* ends before the first."""

    numbers: tuple[int, ...]
    prerelease: tuple[str, ...] = ()

    @property
    def version(self) -> SemVer:
        major, minor, patch = (*self.numbers, 0, 0, 0)[:3]
        return SemVer((major, minor, patch), self.prerelease)

    @property
    def is_full(self) -> bool:
        return len(self.numbers) == 3


@dataclass(frozen=True, slots=True)
class _Condition:
    operator: str
    partial: _Partial

    def find_interval(self, *, prereleases: bool) -> tuple[_Place, _Place]:
        """Return the versions that meet this condition."""
        partial, version = self.partial, self.partial.version
        if not partial.numbers:
            return (_START, _START) if self.operator in {"<", ">"} else (_START, _END)
        if self.operator in {"^", "~"}:
            return _before(version, prereleases=prereleases and not partial.is_full), _before_all(_find_ceiling(self.operator, partial.numbers))
        if partial.is_full:
            return _compare(self.operator, version)
        low, above = _before(version, prereleases=prereleases), _raise_last(partial.numbers)
        return {
            "=": (low, _before_all(above)),
            ">=": (low, _END),
            ">": (_before(SemVer(above), prereleases=prereleases), _END),
            "<": (_START, _before_all(version.release)),
            "<=": (_START, _before_all(above)),
        }[self.operator]


@dataclass(frozen=True, slots=True)
class _Hyphen:
    low: _Partial
    high: _Partial

    def find_interval(self, *, prereleases: bool) -> tuple[_Place, _Place]:
        low = _before(self.low.version, prereleases=prereleases and not self.low.prerelease) if self.low.numbers else _START
        if not self.high.numbers:
            return low, _END
        if self.high.is_full and (self.high.prerelease or not prereleases):
            return low, (self.high.version.precedence, 1)
        return low, _before_all(_raise_last(self.high.numbers))


class VersionRange:
    """One or more version ranges; one of them is enough."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Parse *texts*; raises as `parse_range` does."""
        self._alternatives = [_parse_alternative(part, text) for text in texts for part in " ".join(text.split()).split("||")]

    def allows(self, version: SemVer, *, prereleases: bool) -> bool:
        """
        Return whether *version* is in the range.

        Unless *prereleases*, a pre-release is in it only if a condition names a pre-release of the same three numbers.
        """
        if prereleases:
            return version in self._all
        if not version.prerelease:
            return version in self._releases
        named = self._named.get(version.release)
        return named is not None and version in named

    # Made when needed: `validate` only parses.
    @cached_property
    def _all(self) -> _Intervals:
        return _Intervals(_intersect(one, prereleases=True) for one in self._alternatives)

    @cached_property
    def _releases(self) -> _Intervals:
        return _Intervals(_intersect(one, prereleases=False) for one in self._alternatives)

    @cached_property
    def _named(self) -> Mapping[Release, _Intervals]:
        found: dict[Release, list[tuple[_Place, _Place]]] = defaultdict(list)
        for one in self._alternatives:
            for release in _list_named(one):
                found[release].append(_intersect(one, prereleases=False))
        return {release: _Intervals(intervals) for release, intervals in found.items()}


def parse_range(text: str) -> VersionRange:
    """
    Parse *text* as a version range; an empty one allows any version.

    Raises:
        ValueError: *text* is not a range.
    """
    return VersionRange([text])


class _Intervals:
    """A union of intervals, sorted and merged."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, intervals: Iterable[tuple[_Place, _Place]]) -> None:
        self._starts: list[_Place] = []
        self._ends: list[_Place] = []
        for start, end in sorted(pair for pair in intervals if pair[0] < pair[1]):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def __contains__(self, version: SemVer) -> bool:
        place = (version.precedence, 0)
        index = bisect_right(self._starts, place) - 1
        return index >= 0 and place < self._ends[index]


def _parse_alternative(text: str, whole: str) -> list[_Condition] | list[_Hyphen]:
    text = text.strip()
    hyphen = _HYPHEN.fullmatch(text)
    if hyphen is not None:
        groups = hyphen.groups()
        return [_Hyphen(_read_partial(groups[:4], whole), _read_partial(groups[4:], whole))]
    found = []
    position = 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None:
            raise _make_error(text, whole)
        operator, *parts = match.groups()
        found.append(_Condition({"~>": "~", "==": "=", None: "="}.get(operator, operator), _read_partial(parts, whole)))
        position = match.end()
    return found


def _read_partial(parts: Sequence[str | None], whole: str) -> _Partial:
    *texts, prerelease = parts
    given = [text for text in texts if text is not None]
    end = next((index for index, text in enumerate(given) if not text.isdigit()), len(given))
    if any(text.isdigit() for text in given[end:]) or any(text.isdigit() and len(text) > 1 and text[0] == "0" for text in given):
        raise _make_error(".".join(given), whole)
    # One less, because `^` and `~` count up.
    if any(len(text) > 16 or int(text) >= LARGEST_NUMBER for text in given[:end]):
        raise _make_error(".".join(given), whole, "it has a number that is too large")
    identifiers = split_prerelease(prerelease or "") if end == 3 else ()
    if identifiers is None:
        raise _make_error(".".join(given), whole)
    return _Partial(tuple(int(text) for text in given[:end]), identifiers)


def _make_error(part: str, whole: str, reason: str = "") -> ValueError:
    shown = whole if len(whole) <= _QUOTED else f"{part[:_QUOTED]}…"
    return ValueError(f"invalid version range {shown!r}{f': {reason}' if reason else _explain(part) or _EXAMPLE}")


def _explain(text: str) -> str:
    """Return the likely reason why *text* is not a range."""
    zero = _LEADING_ZERO.search(text)
    if zero is not None:
        short = ".".join(part.lstrip("0") or "0" for part in zero[1].strip(".").split("."))
        return f": {zero[1].strip('.')!r} has a leading zero; write {short}, which also selects tags with the zero"
    if "," in text:
        return ": separate conditions by a space, not by a comma"
    return ""


def _compare(operator: str, version: SemVer) -> tuple[_Place, _Place]:
    before, after = (version.precedence, 0), (version.precedence, 1)
    return {"=": (before, after), ">": (after, _END), ">=": (before, _END), "<": (_START, before), "<=": (_START, after)}[operator]


def _before(version: SemVer, *, prereleases: bool) -> _Place:
    """Return the place before *version*, or before its pre-releases too."""
    return _before_all(version.release) if prereleases else (version.precedence, 0)


def _before_all(release: Release) -> _Place:
    """Return the place before every pre-release of *release*."""
    return SemVer(release, ("0",)).precedence, 0


def _raise_last(numbers: tuple[int, ...]) -> Release:
    major, minor, patch = (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]
    return major, minor, patch


def _find_ceiling(operator: str, numbers: tuple[int, ...]) -> Release:
    """Return the first release that `~` or `^` excludes."""
    if operator == "~":
        return _raise_last(numbers[:2])
    significant = next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
    return _raise_last(numbers[: significant + 1])


def _intersect(conditions: Sequence[_Condition | _Hyphen], *, prereleases: bool) -> tuple[_Place, _Place]:
    found = [one.find_interval(prereleases=prereleases) for one in conditions]
    return max((low for low, _ in found), default=_START), min((high for _, high in found), default=_END)


def _list_named(conditions: Sequence[_Condition | _Hyphen]) -> set[Release]:
    """Return the releases of which a condition names a pre-release."""
    partials = [partial for one in conditions for partial in ((one.low, one.high) if isinstance(one, _Hyphen) else (one.partial,))]
    return {partial.version.release for partial in partials if partial.prerelease}
