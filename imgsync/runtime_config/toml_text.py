"""
Write the little TOML that runtimes read.

Not with a library: those that write TOML write no comments, and all values here are names, URLs and switches.
"""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.text.sanitize import sanitize_short

_ESCAPES = {'"': '\\"', "\\": "\\\\"}


def quote_toml(text: str) -> str:
    """Return *text* as a TOML string on one line."""
    return f'"{"".join(map(_escape, text))}"'


def quote_list(texts: Iterable[str]) -> str:
    """Return *texts* as a TOML array on one line."""
    return f"[{', '.join(map(quote_toml, texts))}]"


def write_comment(text: str) -> str:
    """Return *text* as a comment of TOML or YAML, on one line."""
    return f"# {sanitize_short(text)}"


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    number = ord(character)
    # TOML forbids control characters, and surrogates are not characters.
    is_plain = character == " " or (character.isprintable() and not 0xD800 <= number <= 0xDFFF)
    return character if is_plain else f"\\U{number:08x}"
