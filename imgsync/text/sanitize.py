"""
Untrusted text made harmless to terminals and CI runners.

Registries choose names and messages; pull requests choose file names. A runner reads commands out of a job's output: GitHub's `::name::`
at the beginning of a line (after blanks) and `##[name]` anywhere, Azure Pipelines' `##vso[…]`, TeamCity's `##teamcity[…]`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable

# Control characters, invisible and formatting characters (bidirectional text too), surrogates, line separators.
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
# Noncharacters: invalid in HTML, and XML cannot contain two of them.
_NONCHARACTERS = frozenset([*range(0xFDD0, 0xFDF0), *(plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF))])
_BRACKET_COMMAND = re.compile(r"#(?=#\w*\[)")
_COLON_COMMAND = re.compile(r"^(\s*):(?=:)")
_SHORT_LIMIT = 400
_MESSAGE_LIMIT = 300


def sanitize_line(text: str) -> str:
    """Return *text* on one line, invisible characters and runner commands escaped."""
    if not (text.isascii() and text.isprintable()):  # the fast path: a plan of 20,000 changes is nearly all plain ASCII
        text = _escape(text, _is_hidden)
    if "##" in text:
        text = _BRACKET_COMMAND.sub(r"\\x23", text)
    return _COLON_COMMAND.sub(r"\1\\x3a", text) if "::" in text else text


def sanitize_short(text: str) -> str:
    """Return *text* as `sanitize_line` does, cut to 400 characters before escaping."""
    return sanitize_line(text if len(text) <= _SHORT_LIMIT else f"{text[:_SHORT_LIMIT]}…")


def sanitize_lines(text: str) -> str:
    """Sanitize each line of *text*."""
    return "\n".join(map(sanitize_line, text.split("\n")))


def sanitize_json(text: str) -> str:
    """Escape runner commands and invisible characters in JSON, keeping its value."""
    if not text.isascii() or "\x7f" in text:
        text = "".join(_escape_in_json(character) if _is_hidden(character) and character != "\n" else character for character in text)
    # `::` needs no escape: a line of JSON begins with punctuation.
    return _BRACKET_COMMAND.sub(r"\\u0023", text) if "##" in text else text


def sanitize_message(text: str, *, limit: int = _MESSAGE_LIMIT) -> str:
    """
    Return one line, cut to *limit* characters before escaping.

    For text that becomes part of an error. Runner commands stay; the output escapes them.
    """
    text = " ".join(text.split())[:limit]
    return text if text.isprintable() else _escape(text, lambda character: not character.isprintable())


def _escape(text: str, must_escape: Callable[[str], bool]) -> str:
    return "".join(character.encode("unicode_escape").decode() if must_escape(character) else character for character in text)


def _escape_in_json(character: str) -> str:
    # json writes a pair of surrogates where one escape is not enough; 0x7F is the only one that it leaves.
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN_CATEGORIES or ord(character) in _NONCHARACTERS
