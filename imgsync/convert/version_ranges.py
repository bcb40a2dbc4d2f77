"""
Convert other tools' version ranges to npm's syntax.

Tools treat pre-releases in two ways. Masterminds/semver excludes them unless the range names one, as npm does.
Others compare only by precedence: `2.0.0-rc.1` is less than `2.0.0`, so `<2` includes it.
"""

from __future__ import annotations

import re

from imgsync.filters.ranges import parse_range
from imgsync.system.dataclass import dataclass

Release = tuple[int, int, int]
# Other tools do not read `21.0.5_11` as a version; imgsync does.
NO_VERSION = "*_*"

_VERSION = r"v?(?P<parts>(?:\d+|[xX*])(?:\.(?:\d+|[xX*]))*)(?P<pre>-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
_COMPARATOR = re.compile(rf"[\s,]*(?P<operator>!=|==|=>|=<|>=|<=|~>|[!=<>~^])?\s*{_VERSION}(?=[\s,]|$)")
_HYPHEN = re.compile(r"(?P<low>v?[0-9xX*][^\s,]*)\s+-\s+(?P<high>v?[0-9xX*][^\s,]*)")
_MAX_LENGTH = 512
_MAX_GROUPS = 64
_SYNONYMS = {"=>": ">=", "=<": "<=", "~>": "~", "==": "=", "!": "!="}


@dataclass(frozen=True, slots=True)
class Comparator:
    """
    One condition of a range.

    `numbers` ends before the first placeholder or missing part. `prerelease` includes its dash.
    """

    operator: str
    numbers: tuple[int, ...]
    prerelease: str = ""

    @property
    def release(self) -> Release:
        """The version, with 0 for missing parts."""
        major, minor, patch = (*self.numbers, 0, 0, 0)[:3]
        return major, minor, patch

    def __str__(self) -> str:
        """Return the condition in npm's syntax."""
        if not self.numbers:
            return "*"
        # npm knows no pre-release of `1.31`.
        version = ".".join(str(number) for number in (self.release if self.prerelease else self.numbers))
        return f"{'' if self.operator == '=' else self.operator}{version}{self.prerelease}"


@dataclass(frozen=True, slots=True)
class NpmRange:
    """A range in npm's syntax, and whether it selects pre-releases."""

    text: str
    prereleases: bool


def parse_comparators(text: str) -> list[list[Comparator]]:
    """
    Parse a range into alternatives of conditions.

    Raises:
        ValueError: The range is invalid.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"the version range is longer than {_MAX_LENGTH} characters")
    rewritten = _HYPHEN.sub(r">=\g<low> <=\g<high>", text)
    return [group for alternative in rewritten.split("||") for group in _expand_inequalities(_parse_alternative(alternative, text))]


def convert_masterminds(text: str) -> list[NpmRange]:
    """
    Convert a range as the library Masterminds/semver reads it.

    Alternatives that name a pre-release in each condition select pre-releases by precedence. The others select none.

    Raises:
        ValueError: The range is invalid, or matches nothing.
    """
    groups = parse_comparators(text)
    # Masterminds reads `~0.0.0` as "any version".
    any_version = Comparator("~", (0, 0, 0))
    groups = [[Comparator(">=", (0, 0, 0)) if one == any_version else one for one in group] for group in groups]
    naming = [group for group in groups if all(one.prerelease for one in group)]
    others = [[_drop_prerelease(one) for one in group] for group in groups if group not in naming]
    possible = [group for group in others if not any(one.operator == "=" and one.prerelease for one in group)]
    found = [NpmRange(_check_range(_format_groups(part)), prereleases) for part, prereleases in ((possible, False), (naming, True)) if part]
    if not found:
        raise ValueError(f"the version range {text!r} matches nothing")
    return found


def _check_range(text: str) -> str:
    """Return *text* if imgsync reads it, which has limits of its own."""
    parse_range(text)
    return text


def _format_groups(groups: list[list[Comparator]]) -> str:
    return " || ".join(" ".join(str(one) for one in group) for group in groups)


def _drop_prerelease(one: Comparator) -> Comparator:
    """Return what *one* means for releases; an exact pre-release stays."""
    if not one.prerelease or one.operator == "=":
        return one
    return Comparator({">": ">=", "<=": "<"}.get(one.operator, one.operator), one.numbers)


def convert_by_precedence(text: str, *, partial: str) -> str:
    """
    Convert a range that compares pre-releases by precedence.

    In npm's syntax, conditions with three numbers and `prereleases: true` mean the same.

    Args:
        text: The range.
        partial: The meaning of a missing number: "zero", or "any" as in `1.x`.

    Raises:
        ValueError: The range is invalid.
    """
    return _check_range(" || ".join(_convert_group(group, text, partial=partial) for group in parse_comparators(text)))


def _convert_group(group: list[Comparator], text: str, *, partial: str) -> str:
    if any(len(one.numbers) > 3 for one in group):
        raise ValueError(f"{text!r} has a version with more than three parts")
    return " ".join(str(found) for one in group for found in _expand(one, partial=partial)) or "*"


def _parse_alternative(text: str, whole: str) -> list[Comparator]:
    found: list[Comparator] = []
    position = 0
    while text[position:].strip(" \t,"):
        match = _COMPARATOR.match(text, position)
        if match is None:
            raise ValueError(f"invalid version range {whole!r}")
        operator = match["operator"] or "="
        operator = _SYNONYMS.get(operator, operator)
        numbers = _parse_numbers(match["parts"].split("."))
        if not numbers and operator in {"<", ">", "!="}:
            raise ValueError(f"the version range {whole!r} matches nothing")
        found.append(Comparator(operator, numbers, match["pre"] or ""))
        position = match.end()
    if not found:
        raise ValueError("the version range is empty")
    return found


def _parse_numbers(parts: list[str]) -> tuple[int, ...]:
    end = next((index for index, part in enumerate(parts) if not part.isdigit()), len(parts))
    return tuple(int(part) for part in parts[:end])


def _expand_inequalities(group: list[Comparator]) -> list[list[Comparator]]:
    """Replace `!=1.2.3` by the alternatives `<1.2.3` and `>1.2.3`."""
    # npm has no operator `!=`.
    groups: list[list[Comparator]] = [[]]
    for one in group:
        operators = ["<", ">"] if one.operator == "!=" else [one.operator]
        groups = [[*head, Comparator(operator, one.numbers, one.prerelease)] for head in groups for operator in operators]
        if len(groups) > _MAX_GROUPS:
            raise ValueError("the version range has too many '!='")
    return groups


def _expand(one: Comparator, *, partial: str) -> list[Comparator]:
    """Rewrite *one* without `^`, `~` and partial versions."""
    low = Comparator(">=", one.release, one.prerelease)
    if not one.numbers:
        return []
    if one.operator in {"^", "~"}:
        return [low, Comparator("<", _compute_upper_bound(one))]
    if partial == "zero" or len(one.numbers) == 3 or one.prerelease:
        return [Comparator(one.operator, one.release, one.prerelease)]
    above = Comparator("<", _increment_last(one.numbers))
    return {
        "=": [low, above],
        ">=": [low],
        ">": [Comparator(">=", above.release)],
        "<": [Comparator("<", one.release)],
        "<=": [above],
    }[one.operator]


def _compute_upper_bound(one: Comparator) -> Release:
    major, minor, patch = one.release
    if one.operator == "~":
        return major, minor + 1, 0
    return (major + 1, 0, 0) if major else (0, minor + 1, 0) if minor else (0, 0, patch + 1)


def _increment_last(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]
