"""
Foreign text that neither a terminal nor a CI runner obeys: registries choose names and messages, pull requests the names of files.

Runners read commands out of what a job prints: GitHub's `::name::` at a line's beginning, blanks aside, and `##[name]` anywhere in a line;
Azure Pipelines `##vso[…]`, TeamCity `##teamcity[…]`.
"""

from __future__ import annotations

import re
import unicodedata

# Marks, formats and controls: escapes that move the cursor, text that reads backwards, what cannot be seen.
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
# Code points that will never be characters: HTML calls them a fault, XML cannot write two of them.
_NEVER = frozenset([*range(0xFDD0, 0xFDF0), *(plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF))])
_BRACKETED = re.compile(r"#(?=#\w*\[)")
_LIMIT = 400
_AT_BEGINNING = re.compile(r"^(\s*):(?=:)")


def inert(text: str) -> str:
    """Return *text* on one line, with what cannot be seen, and what a runner would take for a command, escaped."""
    if not (text.isascii() and text.isprintable()):  # nearly all are: a plan of 20,000 changes is drawn in a moment
        text = "".join(character.encode("unicode_escape").decode() if _is_hidden(character) else character for character in text)
    if "##" in text:
        text = _BRACKETED.sub(r"\\x23", text)
    return _AT_BEGINNING.sub(r"\1\\x3a", text) if "::" in text else text


def inert_lines(text: str) -> str:
    """Return *text* with each of its lines `inert`."""
    return "\n".join(map(inert, text.split("\n")))


def inert_json(text: str) -> str:
    """Return JSON *text* that says the same, in which no runner finds a command; its lines begin with punctuation of JSON anyway."""
    return _BRACKETED.sub(r"\\u0023", text) if "##" in text else text


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN or ord(character) in _NEVER


def safe(text: str) -> str:
    """Return *text* on one line that nothing obeys, at most 400 characters before what is hidden in them is escaped."""
    return inert(text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…")
