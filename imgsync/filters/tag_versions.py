"""
Versions as tags write them.

They have any number of numeric parts, zeros in front, and words beside them: `2025.02.03`, `3.10.0.2`, `1.2.3-ls100`, `v1.31.4-rc1-k3s1`.
Every number compares as a number. Words such as `rc` come before the release. A suffix such as `-alpine` ranks just below the plain version.
"""

from __future__ import annotations

import re

from imgsync.filters.hashes import starts_with_hash
from imgsync.system.dataclass import dataclass

_TAG = re.compile(r"([A-Za-z][A-Za-z._-]*?)?[vV]?([0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])|[0-9]+(?:\.[0-9]+)*)(.*)", re.DOTALL)
_TOKEN = re.compile(r"[0-9]+|[A-Za-z]+")
# Python's `3.14.0a1` and `3.14.0b2`; `1.1.1w` is not a pre-release.
_GLUED = re.compile(r"([ab])(?=[0-9])")
_STAGES = (
    ["dev", "develop", "snapshot", "nightly", "canary", "unstable", "experimental"],
    ["alpha"],
    ["beta"],
    ["milestone", "next"],
    ["pre", "preview", "prerelease", "ea", "insiders"],
    ["rc", "cr"],
)
# Redis and Tomcat write milestones as `8.0-M04` and `11.0.0-M26`.
_MILESTONE = re.compile(r"(?<![0-9A-Za-z])m(?=[0-9])", re.IGNORECASE)
# Released after the plain version, as Grafana and Python do.
_LATER = frozenset({"post", "patch", "security"})
_RANKS = {word: rank for rank, words in enumerate(_STAGES) for word in words}
_GLUED_RANKS = {"a": _RANKS["alpha"], "b": _RANKS["beta"]}


@dataclass(frozen=True, slots=True)
class TagVersion:
    """
    The version in a tag.

    Attributes:
        key: A sort key. A string, because nested tuples for tens of thousands of tags need much memory.
        numbers: The numeric parts, without zeros in front.
        prefix: The word before the version, in lower case; a `v` does not count.
    """

    key: str
    numbers: tuple[str, ...]
    prefix: str
    is_prerelease: bool


def parse_tag_version(tag: str) -> TagVersion | None:
    """Return the version in *tag*; None for words and commit hashes."""
    found = _TAG.fullmatch(tag)
    if found is None or starts_with_hash(tag):
        return None
    prefix = (found[1] or "").strip("._-").lower()
    numbers = tuple(number.lstrip("0") or "0" for number in re.split(r"[.-]", found[2]))
    suffix, is_prerelease = _encode_suffix(found[3])
    significant = "".join(map(_encode_number, _drop_trailing_zeros(numbers)))
    # A space comes before any further number, so 1 < 1.2. Equal versions with more parts are newer: `3` moves, `3.0.0` does not.
    key = f"{significant} {suffix}{len(numbers):05}{tag}"
    return TagVersion(key, numbers, "" if prefix == "v" else prefix, is_prerelease)


def is_prerelease_suffix(text: str) -> bool:
    """Return whether *text* starts with a word such as `rc`."""
    found = _TOKEN.search(text)
    return found is not None and found[0].lower() in _RANKS


def _encode_suffix(text: str) -> tuple[str, bool]:
    """Return a suffix as sort key, and whether it marks a pre-release."""
    # A: pre-release, B: number, C: word, D: end, E: later.
    found, is_prerelease = [], False
    glued = _GLUED.match(text)
    if glued is not None:
        found, is_prerelease, text = [f"A{_GLUED_RANKS[glued[1]]}"], True, text[glued.end() :]
    for token in _TOKEN.findall(_MILESTONE.sub("milestone", text)):
        rank = _RANKS.get(token.lower())
        is_prerelease = is_prerelease or rank is not None
        found.append(f"B{_encode_number(token)}" if token.isdigit() else _encode_word(token.lower()))
    return "".join([*found, "D"]), is_prerelease


def _encode_word(word: str) -> str:
    rank = _RANKS.get(word)
    return f"A{rank}" if rank is not None else f"{'E' if word in _LATER else 'C'}{word}\0"


def _encode_number(digits: str) -> str:
    stripped = digits.lstrip("0") or "0"
    return f"{len(stripped):05}{stripped}"


def _drop_trailing_zeros(numbers: tuple[str, ...]) -> tuple[str, ...]:
    end = len(numbers)
    while end > 1 and numbers[end - 1] == "0":
        end -= 1
    return numbers[:end]
