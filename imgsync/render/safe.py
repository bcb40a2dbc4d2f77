"""Foreign text made safe to print, and short enough to read."""

from __future__ import annotations

from imgsync.inert import inert

_LIMIT = 400


def safe(text: str) -> str:
    """Return *text* on one line that nothing obeys, at most 400 characters before what is hidden in them is escaped."""
    return inert(text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…")
