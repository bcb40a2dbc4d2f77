"""
Convert simple regular expressions to globs or plain names.

The expression is searched for, as in `regexes`. Most expressions have no equivalent globs.
"""

from __future__ import annotations

import re
from itertools import product

from imgsync.convert.regexes import split_alternatives, split_anchors
from imgsync.filters.globs import is_glob
from imgsync.oci.spec.reference import is_tag

_LITERAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/:@")
_CLASS = re.compile(r"\[(\^?)((?:[A-Za-z0-9_.]|[A-Za-z0-9]-[A-Za-z0-9]|\\[dw.])+-?)\]")
_REPEAT = re.compile(r"\{([0-9]{1,2})\}")
_ESCAPED_CLASSES = {"d": "[0-9]", "w": "[A-Za-z0-9_]"}
_MAX_GLOBS = 32
_MAX_DEPTH = 20
_SINGLE_DOT = re.compile(r"(?<!\\)\.(?![*+?{])")
# Marks an unescaped dot; compared by identity.
_ANY_CHARACTER = ["\0"]


def convert_to_name(search: str) -> str | None:
    """Return the only text that *search* finds, or None."""
    found = convert_to_globs(search, crossing=False)
    return found[0] if found is not None and len(found) == 1 and not is_glob(found[0]) else None


def convert_to_tags(search: str) -> tuple[str, ...] | None:
    """
    Return the only tags that *search* finds, or None.

    A dot without a quantifier counts as a dot: `1.10` means the tag, not also `1-10`.
    """
    found = convert_to_globs(_SINGLE_DOT.sub(r"\.", search), crossing=False)
    return found if found and all(is_tag(one) for one in found) else None


def convert_to_globs(search: str, *, crossing: bool) -> tuple[str, ...] | None:
    """
    Return globs equivalent to *search*, None if impossible.

    Args:
        search: The expression.
        crossing: Whether `.*` matches `/` (in repository paths); tags have no `/`.
    """
    globs: list[str] = []
    for alternative in split_alternatives(search):
        starts, body, ends = split_anchors(alternative)
        try:
            bodies = _GlobParser(crossing=crossing).parse(body)
        except _UnsupportedError:
            return None
        star = "**" if crossing else "*"
        globs += [f"{'' if starts else star}{one}{'' if ends else star}" for one in bodies]
    distinct = tuple(dict.fromkeys(_join_stars(one, crossing=crossing) for one in globs))
    return None if len(distinct) > _MAX_GLOBS or "" in distinct else distinct


def _join_stars(glob: str, *, crossing: bool) -> str:
    joined = re.sub(r"\*{2,}", "**" if crossing else "*", glob)
    # `**/` in a glob also matches the empty string; `.*/` in an expression does not.
    return re.sub(r"(^|/)\*\*/", r"\1*/**/", joined)


class _UnsupportedError(Exception):
    """The expression has no equivalent globs."""


class _GlobParser:
    """Parses regular expressions that globs can express."""

    def __init__(self, *, crossing: bool) -> None:
        self._crossing = crossing
        self._depth = 0

    def parse(self, pattern: str) -> list[str]:
        globs = [""]
        position = 0
        while position < len(pattern):
            atom, position = self._parse_atom(pattern, position)
            choices, position = self._parse_repeat(atom, pattern, position, before=globs)
            globs = [head + tail for head, tail in product(globs, choices)]
            if len(globs) > _MAX_GLOBS:
                raise _UnsupportedError
        return globs

    def _parse_atom(self, pattern: str, position: int) -> tuple[list[str], int]:
        character = pattern[position]
        if character == "(":
            return self._parse_group(pattern, position)
        if character == "[":
            return self._parse_class(pattern, position)
        if character == "\\" and position + 1 < len(pattern):
            return _parse_escape(pattern[position + 1]), position + 2
        if character == ".":
            return _ANY_CHARACTER, position + 1
        if character in _LITERAL:
            return [character], position + 1
        raise _UnsupportedError

    def _parse_class(self, pattern: str, position: int) -> tuple[list[str], int]:
        found = _CLASS.match(pattern, position)
        if found is None or (found[1] and self._crossing):
            raise _UnsupportedError
        inside = found[2].replace("\\d", "0-9").replace("\\w", "A-Za-z0-9_").replace("\\.", ".")
        return [f"[{'!' if found[1] else ''}{inside}]"], found.end()

    def _parse_group(self, pattern: str, position: int) -> tuple[list[str], int]:
        start = position + (3 if pattern.startswith("(?:", position) else 1)
        end = _find_group_end(pattern, position)
        inner = pattern[start:end]
        if inner.startswith("?"):
            raise _UnsupportedError
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _UnsupportedError
        globs = [one for alternative in split_alternatives(inner) for one in self.parse(alternative)]
        self._depth -= 1
        return globs, end + 1

    def _parse_repeat(self, atom: list[str], pattern: str, position: int, *, before: list[str]) -> tuple[list[str], int]:
        mark = pattern[position : position + 1]
        if atom is _ANY_CHARACTER:
            return self._parse_any_repeat(pattern, position, before=before)
        if mark == "?":
            return ["", *atom], position + 1
        times = _REPEAT.match(pattern, position)
        if times is not None:
            if len(atom) ** int(times[1]) > _MAX_GLOBS:
                raise _UnsupportedError
            return ["".join(parts) for parts in product(atom, repeat=int(times[1]))], times.end()
        if mark and mark in "*+{":
            raise _UnsupportedError
        return atom, position

    def _parse_any_repeat(self, pattern: str, position: int, *, before: list[str]) -> tuple[list[str], int]:
        """Parse what follows an unescaped dot."""
        mark = pattern[position : position + 1]
        is_lazy = mark in {"*", "+"} and pattern.startswith("?", position + 1)
        end = position + (2 if is_lazy else 1)
        if mark == "*":
            return ["**" if self._crossing else "*"], end
        if self._crossing:
            # A path component always has a character, so `.+` equals `.*` there.
            is_after_slash = all(one.endswith("/") or not one for one in before)
            if mark == "+" and is_after_slash and not self._depth and pattern[end : end + 1] in {"", "/"}:
                return ["**"], end
            raise _UnsupportedError
        if mark == "+":
            return ["?*"], end
        if mark == "?":
            return ["", "?"], position + 1
        if mark == "{":
            raise _UnsupportedError
        return ["?"], position


def _parse_escape(character: str) -> list[str]:
    if character in _ESCAPED_CLASSES:
        return [_ESCAPED_CLASSES[character]]
    if character in ".-_/+":
        return [character]
    raise _UnsupportedError


def _find_group_end(pattern: str, position: int) -> int:
    """Return where the group at *position* ends."""
    depth, end = 0, position
    while end < len(pattern):
        if pattern[end] == "\\":
            end += 1
        elif pattern[end] in "()":
            depth += 1 if pattern[end] == "(" else -1
            if depth == 0:
                return end
        end += 1
    raise _UnsupportedError
