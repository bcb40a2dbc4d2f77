"""
Rewrite regular expressions that other tools search for.

Those tools find an expression anywhere in a tag, unless `^` and `$` say otherwise. imgsync matches the whole tag.
"""

from __future__ import annotations

import re

# Skips escapes and character classes; group 1 is the start of a capturing group.
_GROUP = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(\((?!\?)|\(\?P?<[A-Za-z_]\w*>)")


def anchor(pattern: str) -> str:
    """Put *pattern* between `^` and `$`, as regsync does."""
    # Without a group: of `a|b`, `^` binds only to the first and `$` only to the last alternative.
    return f"^{pattern}$"


def match_whole(search: str) -> str:
    """Return an expression that matches whole tags containing *search*."""
    has_repeated_anchor = search.startswith("^") and search[1:2] in {"*", "+", "?", "{"}
    if len(split_alternatives(search)) > 1 or has_repeated_anchor:
        return f".*(?:{search}).*"
    starts, body, ends = split_anchors(search)
    return f"{'' if starts else '.*'}{body}{'' if ends else '.*'}" if body else ("^$" if starts and ends else ".*")


def drop_captures(pattern: str) -> str:
    """Make the capturing groups of *pattern* non-capturing."""
    return _GROUP.sub(lambda found: found[0] if found[1] is None else "(?:", pattern)


def split_anchors(pattern: str) -> tuple[bool, str, bool]:
    """
    Split *pattern* into anchors and body.

    Returns:
        Whether it starts with `^`, its body, and whether it ends with `$`.
    """
    starts = pattern.startswith("^")
    ends = pattern.endswith("$") and not _is_escaped(pattern, len(pattern) - 1)
    return starts, pattern[starts : len(pattern) - ends], ends


def split_alternatives(pattern: str) -> list[str]:
    """Split *pattern* at its outermost `|`."""
    parts, depth, in_class, start, position = [], 0, False, 0, 0
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            # `[]` and `[^]` start a class that contains the bracket.
            position += 1 if pattern.startswith("]", position + 1) else 2 if pattern.startswith("^]", position + 1) else 0
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            parts.append(pattern[start:position])
            start = position + 1
        position += 1
    return [*parts, pattern[start:]]


def _is_escaped(text: str, position: int) -> bool:
    before = len(text[:position]) - len(text[:position].rstrip("\\"))
    return before % 2 == 1
