"""What is wrong with an archive."""

from __future__ import annotations

from imgsync.text.sanitize import sanitize_message

_SHOWN_NAME = 150


class ArchiveFaultError(ValueError):
    """
    An archive that is damaged, hostile, or too large.

    The message says what is wrong and where in the archive; the caller knows its path. `hint` is what to do, "" for the usual.
    """

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def show_name(name: str | bytes) -> str:
    """Return the name of a member for messages: in quotes, short, harmless."""
    text = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
    return f"'{sanitize_message(text, limit=_SHOWN_NAME)}'"
