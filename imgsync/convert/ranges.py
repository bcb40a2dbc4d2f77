"""
Other tools' ranges of versions as ours (npm's).

Two habits exist. Masterminds' leaves pre-releases out unless the range names one, as we do. Those that go by precedence alone count `2.0.0-rc.1` as less
than `2.0.0`, hence as within `<2`; we count it as the release it leads to. `by_precedence` says the same in our words, with globs for what lies at the edges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Release = tuple[int, int, int]

_VERSION = r"v?(?P<parts>(?:\d+|[xX*])(?:\.(?:\d+|[xX*]))*)(?P<pre>-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
_COMPARATOR = re.compile(rf"[\s,]*(?P<operator>!=|==|=>|=<|>=|<=|~>|[!=<>~^])?\s*{_VERSION}(?=[\s,]|$)")
_HYPHEN = re.compile(r"(?P<low>v?[0-9xX*][^\s,]*)\s+-\s+(?P<high>v?[0-9xX*][^\s,]*)")
_LONGEST = 512
_MOST_GROUPS = 64
_SYNONYMS = {"=>": ">=", "=<": "<=", "~>": "~", "==": "=", "!": "!="}


@dataclass(frozen=True, slots=True)
class Comparator:
    """One condition: an operator, the numbers given (placeholders and what is missing left out), a pre-release with its dash."""

    operator: str
    numbers: tuple[int, ...]
    prerelease: str = ""

    @property
    def release(self) -> Release:
        """Return the version with what is missing as 0."""
        major, minor, patch = (*self.numbers, 0, 0, 0)[:3]
        return major, minor, patch

    def __str__(self) -> str:
        """Write it as npm does."""
        version = ".".join(str(number) for number in self.numbers)
        if not self.numbers:
            return "*"
        return f"{'' if self.operator == '=' else self.operator}{version}{self.prerelease}"


@dataclass(frozen=True, slots=True)
class NpmRange:
    """A range of ours; `names_prereleases` when it names one, whose order among its like we do not keep."""

    text: str
    names_prereleases: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of a range by precedence: `text` with pre-releases let in, less the tags that `exclude` fits, and the tags that `edges` fit besides."""

    text: str
    exclude: tuple[str, ...]
    edges: tuple[str, ...]


def read_range(text: str) -> list[list[Comparator]]:
    """
    Return *text* as alternatives of conditions that hold together.

    Raises:
        ValueError: It is no range.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a range of more than {_LONGEST} characters")
    rewritten = _HYPHEN.sub(r">=\g<low> <=\g<high>", text)
    return [group for alternative in rewritten.split("||") for group in _without_inequalities(_comparators(alternative, text))]


def masterminds(text: str) -> NpmRange:
    """
    Return the range *text*, which the library Masterminds/semver would read.

    Raises:
        ValueError: It is no range.
    """
    groups = read_range(text)
    # To that library `~0.0.0` is everything.
    everything = Comparator("~", (0, 0, 0))
    written = " || ".join(" ".join(">=0.0.0" if one == everything else str(one) for one in group) for group in groups)
    return NpmRange(written, any(one.prerelease for group in groups for one in group))


def by_precedence(text: str, *, short: bool, partial: str) -> list[Slice]:
    """
    Return the range *text*, in which pre-releases count by precedence, as slices whose union it is.

    *short* says whether `2.0-rc` counts as a version. *partial* is what a missing part means: "zero", or "any" as in `1.x`.

    Raises:
        ValueError: It is no range, or one that names a pre-release, whose order among its like we do not keep.
    """
    slices = []
    for group in read_range(text):
        if any(one.prerelease for one in group):
            raise ValueError(f"{text!r} names a pre-release")
        if any(len(one.numbers) > 3 for one in group):
            raise ValueError(f"{text!r} has a version of more than three parts")
        plain = [found for one in group for found in _explicit(one, partial=partial)]
        lowest = [one.release for one in plain if one.operator in {">=", "="}]
        edges = [one.release for one in plain if one.operator == "<" and _prereleases_fit(one.release, plain)]
        slices.append(
            Slice(
                " ".join(str(one) for one in plain) or "*",
                tuple(glob for release in lowest for glob in _prerelease_globs(release, short=short)),
                tuple(glob for release in edges for glob in _prerelease_globs(release, short=short)),
            )
        )
    return slices


def _comparators(text: str, whole: str) -> list[Comparator]:
    found: list[Comparator] = []
    position = 0
    while text[position:].strip(" \t,"):
        match = _COMPARATOR.match(text, position)
        if match is None:
            raise ValueError(f"{whole!r} is no range of versions")
        operator = match["operator"] or "="
        parts = match["parts"].split(".")
        numbers = tuple(int(part) for part in parts[: next((index for index, part in enumerate(parts) if not part.isdigit()), len(parts))])
        wanted = _SYNONYMS.get(operator, operator)
        if not numbers and wanted in {"<", ">", "!="}:
            raise ValueError(f"{whole!r} fits nothing")
        found.append(Comparator(wanted, numbers, match["pre"] or ""))
        position = match.end()
    if not found:
        raise ValueError("an empty range")
    return found


def _without_inequalities(group: list[Comparator]) -> list[list[Comparator]]:
    """Return *group* as alternatives that say `!=1.2.3` as `<1.2.3` or `>1.2.3`, for npm has no such operator."""
    made: list[list[Comparator]] = [[]]
    for one in group:
        sides = ["<", ">"] if one.operator == "!=" else [one.operator]
        made = [[*head, Comparator(side, one.numbers, one.prerelease)] for head in made for side in sides]
        if len(made) > _MOST_GROUPS:
            raise ValueError("a range with so many '!='")
    return made


def _explicit(one: Comparator, *, partial: str) -> list[Comparator]:
    """Return *one* in terms of `>=`, `>`, `<`, `<=` and `=` over whole versions."""
    low = Comparator(">=", one.release)
    if not one.numbers:
        return []
    if one.operator in {"^", "~"}:
        return [low, Comparator("<", _above(one))]
    if partial == "zero" or len(one.numbers) == 3:
        return [Comparator(one.operator, one.release)]
    above = Comparator("<", _raised(one.numbers))
    return {
        "=": [low, above],
        ">=": [low],
        ">": [Comparator(">=", above.release)],
        "<": [Comparator("<", one.release)],
        "<=": [above],
    }[one.operator]


def _above(one: Comparator) -> Release:
    major, minor, patch = one.release
    if one.operator == "~":
        return major, minor + 1, 0
    return (major + 1, 0, 0) if major else (0, minor + 1, 0) if minor else (0, 0, patch + 1)


def _raised(numbers: tuple[int, ...]) -> tuple[int, ...]:
    return (*numbers[:-1], numbers[-1] + 1, 0, 0)[:3]


def _prereleases_fit(release: Release, group: list[Comparator]) -> bool:
    """Return whether the pre-releases of *release*, all just below it, meet every condition."""
    tests = {">=": lambda bound: release > bound, ">": lambda bound: release > bound, "<": lambda bound: release <= bound, "<=": lambda bound: release <= bound}
    return all(one.operator in tests and tests[one.operator](one.release) for one in group)


def _prerelease_globs(release: Release, *, short: bool) -> list[str]:
    major, minor, patch = release
    forms = [f"{major}.{minor}.{patch}"]
    if short and patch == 0:
        forms.append(f"{major}.{minor}")
    if short and patch == 0 and minor == 0:
        forms.append(f"{major}")
    return [f"{v}{form}-*" for form in forms for v in ("", "v")]
