"""Parse the JSON of listings within bounds of memory."""

from __future__ import annotations

import json
import re
from typing import Any

# A page within these limits takes less than 32 MiB while it is parsed.
PAGE_BYTES = 6 << 20
_VALUE_LIMIT = 150_000
# Beyond this size, one character that is not ASCII would make the whole text two or four times as large.
_UNICODE_BYTES = 1 << 20
_ASCII = bytes(code if code < 128 else ord("?") for code in range(256))
_LONG_TEXT = re.compile(rb'"[^"]{65536}')
# Group 1: an escaped character that is not ASCII. Every other escape is matched too, so that `\\\\u00e9` stays a backslash and text.
_ESCAPE = re.compile(rb"\\(?:(u(?!00[0-7])[0-9A-Fa-f]{4})|.)", re.DOTALL)
_WIDE_ESCAPE = re.compile(rb"\\u(?!00[0-7])")


class TooManyValuesError(ValueError):
    """The document would take too much memory."""


def count_values(raw: bytes) -> int:
    """Return an upper limit for the number of values in JSON."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def parse_page(raw: bytes) -> Any:
    """
    Return the JSON value of a page.

    In a page of more than 1 MiB, characters outside ASCII, escaped ones too, become `?`: no digest, date or valid name has one.

    Raises:
        ValueError: It is not JSON.
        TooManyValuesError: It has more than 150,000 values, or a text of more than 64 KiB.
    """
    if count_values(raw) > _VALUE_LIMIT:
        raise TooManyValuesError(f"it has more than {_VALUE_LIMIT:,} values")
    if len(raw) > _UNICODE_BYTES:
        if _LONG_TEXT.search(raw) is not None:
            raise TooManyValuesError("it has a text of more than 64 KiB")
        return _parse(_replace_unicode(raw))
    return _parse(raw)


def _parse(raw: bytes | bytearray) -> Any:
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _replace_unicode(raw: bytes) -> bytes | bytearray:
    """Replace characters outside ASCII, escaped ones too, with `?`."""
    if _WIDE_ESCAPE.search(raw) is None:
        return raw.translate(_ASCII)
    # In place: a list of the pieces between the escapes could be many times as large as the page.
    replaced = bytearray(raw)
    for escape in _ESCAPE.finditer(raw):
        if escape.start(1) >= 0:
            replaced[escape.start() : escape.end()] = b"??????"
    return replaced.translate(_ASCII)
