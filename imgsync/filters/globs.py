"""
Globs and regular expressions that match in linear time, with RE2.

Not `fnmatch`: there `*` crosses `/`, and its backtracking engine can need minutes for a pattern such as `*a*a*a*b`.
"""

from __future__ import annotations

import re
import string
from typing import Any

# `a/**/b` matches `a/b` too.
_TOKENS = re.compile(r"(?<![^/])\*\*/|\*\*|\[.[^]]*\]|.", re.DOTALL)
_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_WILD_CHARACTERS = frozenset("*?[")
_TAG_START = f"{string.ascii_letters}{string.digits}_"
_TAG_CHARACTERS = f"{_TAG_START}.-"
_PATH_START = f"{string.ascii_lowercase}{string.digits}"
_PATH_CHARACTERS = f"{_PATH_START}._-/"


def is_glob(text: str) -> bool:
    """Return whether *text* can match more than itself."""
    return not _WILD_CHARACTERS.isdisjoint(text)


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
        try:
            translated = _translate(text)
        except ValueError as error:
            raise ValueError(f"{text!r} has a '[' that is not closed") from error
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


def translate_glob(text: str) -> str:
    """Return the valid glob *text* as an RE2 pattern."""
    return _translate(text)


def check_tag_glob(text: str) -> None:
    """
    Check that *text* is a glob that some tag matches.

    Raises:
        ValueError: It is not a glob, or no tag matches it.
    """
    compile_glob(text)
    tokens = _split(text)
    if not (_is_possible(tokens[0], _TAG_START) and all(_is_possible(token, _TAG_CHARACTERS) for token in tokens)):
        raise ValueError(f"{text!r} matches no tag; tags have letters, digits, '_', '.' and '-' and begin with a letter, a digit or '_'")


def check_repository_glob(text: str) -> None:
    """
    Check that *text* is a glob that some repository path matches.

    Raises:
        ValueError: It is not a glob, or no path matches it.
    """
    compile_glob(text)
    tokens = _split(text)
    is_split_well = "//" not in text and _is_possible(tokens[0], _PATH_START) and _is_possible(tokens[-1], _PATH_START)
    if not (is_split_well and all(_is_possible(token, _PATH_CHARACTERS) for token in tokens)):
        raise ValueError(f"{text!r} matches no repository; paths are lower-case words joined by '/', '.', '_' or '-', without registry, tag or digest")


def _is_possible(token: str, characters: str) -> bool:
    """Return whether *token* matches something made of *characters*."""
    if token[0] == "[":
        return any(Glob(token).fullmatch(character) for character in characters)
    return token[0] in "*?" or token in characters


def _split(text: str) -> list[str]:
    """Split a glob into wildcards, sets and single characters."""
    return _TOKENS.findall(text)


def _translate(text: str) -> str:
    return "".join(map(_translate_token, _split(text)))


def _translate_token(part: str) -> str:
    if part == "[":
        raise ValueError("a '[' is not closed")
    if part[0] == "[":
        inner = part[1:-1]
        negated = inner[:1] in {"!", "^"}
        return f"[{'^/' if negated else ''}{re.escape(inner[negated:]).replace(chr(92) + '-', '-')}]"
    return _WILDCARDS.get(part) or re.escape(part)
