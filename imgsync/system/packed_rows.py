"""
Pack rows of texts and numbers.

As objects, a million of them need a GiB; packed in blocks of a hundred or so, a tenth.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

Value = TypeVar("Value")

# Rows that are packed and unpacked at once.
BLOCK = 128
# The fastest: digests do not become smaller, and the rest nearly vanishes.
_LEVEL = 1
# A check for cycles would take a tenth of the time.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def pack_rows(rows: Sequence[Sequence[object]]) -> bytes:
    """Return *rows* as one compressed block."""
    return zlib.compress(_encode(rows).encode(), _LEVEL)


def unpack_rows(block: bytes) -> list[list[Any]]:
    """Return the rows in *block*; a tuple has become a list."""
    rows: list[list[Any]] = json.loads(zlib.decompress(block))
    return rows


def split_blocks(values: Iterable[Value], size: int) -> Iterator[list[Value]]:
    """Yield *values* in lists of *size*, the last one shorter."""
    rest = iter(values)
    while block := list(islice(rest, size)):
        yield block
