"""
Globs and regular expressions that match in linear time, with RE2.

Not `fnmatch`: there `*` crosses `/`, and its backtracking engine can need minutes for a pattern such as `*a*a*a*b`.
"""

from __future__ import annotations

import re
from typing import Any


def compile_expression(text: str) -> Any:
    """
    Compile *text* as an RE2 pattern (`fullmatch`, `groups`).

    Raises:
        ValueError: *text* is not an RE2 expression.
    """
    import re2

    options = re2.Options()
    # RE2 would log errors to stderr.
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"invalid RE2 expression {text!r}: {reason}") from error


class Glob:
    """A compiled glob: only `**` crosses `/`; `[a-z]` and `[!a]` are sets."""

    __slots__ = ("_pattern", "text")

    def __init__(self, text: str) -> None:
        """Compile *text*; raises as `compile_glob` does."""
        self.text = text
        translated = _translate(text)
        try:
            self._pattern = compile_expression(translated)
        except ValueError as error:
            raise ValueError(f"invalid glob {text!r}") from error

    def __repr__(self) -> str:
        """Return the glob as written."""
        return f"Glob({self.text!r})"

    def fullmatch(self, text: str) -> bool:
        """Return whether the whole of *text* matches."""
        return self._pattern.fullmatch(text) is not None


def compile_glob(text: str) -> Glob:
    """
    Compile *text* as a glob.

    Raises:
        ValueError: *text* is empty, or a set in it is not closed.
    """
    if not text:
        raise ValueError("an empty glob matches nothing")
    return Glob(text)


def _translate(text: str) -> str:
    parts = []
    position = 0
    while position < len(text):
        if text.startswith("**", position):
            # `a/**/b` matches `a/b` too.
            slash = text.startswith("**/", position) and (position == 0 or text[position - 1] == "/")
            parts.append("(?:.*/)?" if slash else ".*")
            position += 3 if slash else 2
        elif text[position] == "[":
            end = text.find("]", position + 2)
            if end < 0:
                raise ValueError(f"{text!r} has a '[' that is not closed")
            inner = text[position + 1 : end]
            negated = inner[:1] in {"!", "^"}
            parts.append(f"[{'^/' if negated else ''}{re.escape(inner[negated:]).replace(chr(92) + '-', '-')}]")
            position = end + 1
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(text[position], re.escape(text[position])))
            position += 1
    return "".join(parts)
