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


class TooManyValuesError(ValueError):
    """The document would take too much memory."""


def count_values(raw: bytes) -> int:
    """Return an upper limit for the number of values in JSON."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def parse_page(raw: bytes) -> Any:
    """
    Return the JSON value of a page.

    In a page of more than 1 MiB, characters outside ASCII become `?`: no digest, date or valid name has one.

    Raises:
        ValueError: It is not JSON.
        TooManyValuesError: It has more than 150,000 values, or a text of more than 64 KiB.
    """
    if count_values(raw) > _VALUE_LIMIT:
        raise TooManyValuesError(f"it has more than {_VALUE_LIMIT:,} values")
    if len(raw) > _UNICODE_BYTES:
        if _LONG_TEXT.search(raw) is not None:
            raise TooManyValuesError("it has a text of more than 64 KiB")
        raw = raw.translate(_ASCII)
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
