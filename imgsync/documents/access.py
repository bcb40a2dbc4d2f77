"""imgsync.access/v1: the result of `login-check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from imgsync.registries.access import Access

_FORMAT = "imgsync.access/v1"


def encode_access(found: Sequence[Access]) -> dict[str, Any]:
    """Return *found* as the fields of imgsync.access/v1; empty texts are null."""
    return {"format": _FORMAT, "access": [{name: value if value != "" else None for name, value in asdict(one).items()} for one in found]}
