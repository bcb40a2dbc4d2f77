"""Secrets hidden by value in whatever is about to be written: a registry may echo what it was sent, wherever we print its words."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

_SHORTEST_SECRET = 4


class Redaction:
    """The values of one run that must not show, and texts without them. Values may be added while running."""

    def __init__(self) -> None:
        """Begin with nothing to hide."""
        self._hidden: list[str] = []

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide *secrets* from now on, also as base64 and in URLs; shorter than four characters cannot be told from text."""
        for secret in secrets:
            if len(secret) >= _SHORTEST_SECRET:
                forms = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
                self._hidden = sorted({*self._hidden, *forms}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Return *text* with every hidden value replaced by `***`."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text

    def clean_values(self, document: Any) -> Any:
        """Return *document* (as JSON has them) with every text in it cleaned; its keys, which are ours, are left as they are."""
        if not self._hidden:
            return document
        if isinstance(document, str):
            return self.clean(document)
        if isinstance(document, dict):
            return {key: self.clean_values(value) for key, value in document.items()}
        if isinstance(document, list | tuple):
            return [self.clean_values(value) for value in document]
        return document
