"""Read the JSON schemas that imgsync ships."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "schema"


@cache
def read_schema(name: str) -> str:
    """Return the shipped JSON schema *name*, such as "mirror"."""
    return (_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
