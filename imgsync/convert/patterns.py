"""
Other tools' regular expressions as ours: whole-tag expressions, globs, or plain names.

Those tools *search*: an expression fits where any part of a text does, unless `^` and `$` say otherwise. Ours fits whole tags.
"""

from __future__ import annotations

import re
from itertools import product

_LITERAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/:@")
_CLASS = re.compile(r"\[(\^?)((?:[A-Za-z0-9_.]|[A-Za-z0-9]-[A-Za-z0-9]|\\[dw.])+-?)\]")
_REPEAT = re.compile(r"\{([0-9]{1,2})\}")
# Escapes and sets are passed over; what is left of `(` begins a group that remembers.
_GROUP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(\((?!\?)|\(\?P?<[A-Za-z_]\w*>)")
_SETS = {"d": "[0-9]", "w": "[A-Za-z0-9_]"}
_MOST_GLOBS = 32
_DEEPEST_GROUP = 20
# Stands for a dot that is any character, while an expression is read.
_ANY = ["\0"]


def anchored(pattern: str) -> str:
    """Return the search that tools do which put `^` before a pattern and `$` behind it: of `a|b` that holds the first and the last alternative only."""
    return f"^{pattern}$"


def whole_match(search: str) -> str:
    """Return the expression that fits a whole tag exactly when searching for *search* in it finds something."""
    repeated_anchor = search.startswith("^") and search[1:2] in {"*", "+", "?", "{"}
    if len(_alternatives(search)) > 1 or repeated_anchor:
        return f".*(?:{search}).*"
    starts = search.startswith("^")
    ends = search.endswith("$") and not _is_escaped(search, len(search) - 1)
    body = search[starts : len(search) - ends]
    return f"{'' if starts else '.*'}{body}{'' if ends else '.*'}" if body else ("^$" if starts and ends else ".*")


def without_groups(pattern: str) -> str:
    """Return *pattern* with groups that remember nothing."""
    return _GROUP.sub(lambda found: found[0] if found[1] is None else "(?:", pattern)


def plain_name(search: str) -> str | None:
    """Return the one text that *search* finds; None when it finds more than one."""
    found = globs(search, crossing=False)
    return found[0] if found is not None and len(found) == 1 and not set(found[0]) & set("*?[") else None


def globs(search: str, *, crossing: bool) -> tuple[str, ...] | None:
    """
    Return globs that together fit what searching for *search* finds; None when no globs say the same.

    *crossing* is for repository paths, where `.*` goes over `/`; tags have none.
    """
    found: list[str] = []
    for alternative in _alternatives(search):
        starts = alternative.startswith("^")
        ends = alternative.endswith("$") and not _is_escaped(alternative, len(alternative) - 1)
        body = alternative[starts : len(alternative) - ends]
        try:
            inner = _GlobParser(crossing=crossing).parse(body)
        except ValueError:
            return None
        star = "**" if crossing else "*"
        found += [f"{'' if starts else star}{one}{'' if ends else star}" for one in inner]
    tidy = tuple(dict.fromkeys(_joined_stars(one, crossing=crossing) for one in found))
    return None if len(tidy) > _MOST_GLOBS or "" in tidy else tidy


def _joined_stars(glob: str, *, crossing: bool) -> str:
    joined = re.sub(r"\*{2,}", "**" if crossing else "*", glob)
    # A glob's `**/` is also fitted by nothing at all, which an expression's `.*/` is not.
    return re.sub(r"(^|/)\*\*/", r"\1*/**/", joined)


def _is_escaped(text: str, position: int) -> bool:
    before = len(text[:position]) - len(text[:position].rstrip("\\"))
    return before % 2 == 1


def _alternatives(pattern: str) -> list[str]:
    """Return what the outermost `|` divide *pattern* into."""
    parts, depth, in_class, start, position = [], 0, False, 0, 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            # `[]` and `[^]` begin a set that holds the bracket.
            position += 1 if pattern.startswith("]", position + 1) else 2 if pattern.startswith("^]", position + 1) else 0
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            parts.append(pattern[start:position])
            start = position + 1
        position += 1
    return [*parts, pattern[start:]]


class _GlobParser:
    """Reads the small part of regular expressions that globs can say; for anything else it raises ValueError."""

    def __init__(self, *, crossing: bool) -> None:
        self._crossing = crossing
        self._depth = 0

    def parse(self, pattern: str) -> list[str]:
        made = [""]
        position = 0
        while position < len(pattern):
            atom, position = self._atom(pattern, position)
            choices, position = self._repeated(atom, pattern, position, before=made)
            made = [head + tail for head, tail in product(made, choices)]
            if len(made) > _MOST_GLOBS:
                raise ValueError("too many globs")
        return made

    def _atom(self, pattern: str, position: int) -> tuple[list[str], int]:
        character = pattern[position]
        if character == "(":
            return self._group(pattern, position)
        if character == "[":
            found = _CLASS.match(pattern, position)
            if found is None or (found[1] and self._crossing):
                raise ValueError("a set")
            inside = found[2].replace("\\d", "0-9").replace("\\w", "A-Za-z0-9_").replace("\\.", ".")
            return [f"[{'!' if found[1] else ''}{inside}]"], found.end()
        if character == "\\" and position + 1 < len(pattern):
            escaped = pattern[position + 1]
            if escaped in _SETS:
                return [_SETS[escaped]], position + 2
            if escaped in ".-_/+":
                return [escaped], position + 2
            raise ValueError("an escape")
        if character == ".":
            return _ANY, position + 1
        if character in _LITERAL:
            return [character], position + 1
        raise ValueError("no part of a glob")

    def _group(self, pattern: str, position: int) -> tuple[list[str], int]:
        start = position + (3 if pattern.startswith("(?:", position) else 1)
        depth, end = 0, position
        while end < len(pattern):
            if pattern[end] == "\\":
                end += 1
            elif pattern[end] in "()":
                depth += 1 if pattern[end] == "(" else -1
                if depth == 0:
                    break
            end += 1
        inner = pattern[start:end]
        if depth or inner.startswith("?"):
            raise ValueError("a group")
        self._depth += 1
        if self._depth > _DEEPEST_GROUP:
            raise ValueError("groups in groups")
        found = [one for alternative in _alternatives(inner) for one in self.parse(alternative)]
        self._depth -= 1
        return found, end + 1

    def _repeated(self, atom: list[str], pattern: str, position: int, *, before: list[str]) -> tuple[list[str], int]:
        mark = pattern[position : position + 1]
        if atom is _ANY:
            return self._any(pattern, position, before=before)
        if mark == "?":
            return ["", *atom], position + 1
        times = _REPEAT.match(pattern, position)
        if times is not None:
            repeated = ["".join(parts) for parts in product(atom, repeat=int(times[1]))] if len(atom) ** int(times[1]) <= _MOST_GLOBS else None
            if repeated is None:
                raise ValueError("too many globs")
            return repeated, times.end()
        if mark and mark in "*+{":
            raise ValueError("a repetition")
        return atom, position

    def _any(self, pattern: str, position: int, *, before: list[str]) -> tuple[list[str], int]:
        mark = pattern[position : position + 1]
        after_slash = all(one.endswith("/") or not one for one in before)
        lazy = mark in {"*", "+"} and pattern.startswith("?", position + 1)
        behind = position + (2 if lazy else 1)
        if mark == "*":
            return ["**" if self._crossing else "*"], behind
        if self._crossing:
            # Of whole parts of a path at least one character is there anyhow.
            whole_part = after_slash and not self._depth and pattern[behind : behind + 1] in {"", "/"}
            if mark == "+" and whole_part:
                return ["**"], behind
            raise ValueError("one character that may be a slash")
        if mark == "+":
            return ["?*"], behind
        if mark == "?":
            return ["", "?"], position + 1
        if mark == "{":
            raise ValueError("a repetition")
        return ["?"], position
