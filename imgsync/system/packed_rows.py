"""
Pack rows of texts and numbers.

As objects, a million of them need a GiB; packed in blocks of a hundred or so, a tenth.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

# The fastest: digests do not become smaller, and the rest nearly vanishes.
_LEVEL = 1


def pack_rows(rows: Sequence[Sequence[object]]) -> bytes:
    """Return *rows* as one compressed block."""
    return zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), _LEVEL)


def unpack_rows(block: bytes) -> list[list[Any]]:
    """Return the rows in *block*; a tuple has become a list."""
    rows: list[list[Any]] = json.loads(zlib.decompress(block))
    return rows
