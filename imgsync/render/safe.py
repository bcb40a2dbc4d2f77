"""Foreign text made safe to print: registries choose names and messages, terminals and CI obey some of them."""

from __future__ import annotations

import unicodedata

_LIMIT = 400
# Marks, formats and controls: escapes that move the cursor, text that reads backwards, what cannot be seen.
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
# Code points that will never be characters: HTML calls them a fault, XML cannot write two of them.
_NEVER = frozenset([*range(0xFDD0, 0xFDF0), *(plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF))])


def safe(text: str) -> str:
    """Return *text* on one line, what cannot be seen escaped, at most 400 characters."""
    if len(text) <= _LIMIT and text.isascii() and text.isprintable():
        return text  # nearly all: a plan of 20,000 changes is drawn in a moment
    cut = text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…"
    return "".join(character.encode("unicode_escape").decode() if _is_hidden(character) else character for character in cut)


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN or ord(character) in _NEVER
