"""Secrets hidden by value in whatever is about to be written: a registry may echo what it was sent, wherever we print its words."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

_SHORTEST_SECRET = 4


class Redaction:
    """The values of one run that must not show, and texts without them. Values may be added while running."""

    def __init__(self) -> None:
        """Begin with nothing to hide."""
        self._hidden: list[str] = []

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide *secrets* from now on, however they are written; shorter than four characters cannot be told from text."""
        for secret in secrets:
            if len(secret) >= _SHORTEST_SECRET:
                self._hidden = sorted({*self._hidden, *_forms(secret)}, key=len, reverse=True)

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


def _forms(secret: str) -> set[str]:
    """Return *secret* as it may stand in a text: in a header, a URL, JSON, a traceback, on one line."""
    raw = secret.encode()
    forms = {secret, " ".join(secret.split()), repr(secret)[1:-1], *(json.dumps(secret, ensure_ascii=ascii_alone)[1:-1] for ascii_alone in (True, False))}
    forms |= {quote(secret), quote(secret, safe=""), quote_plus(secret, safe="")}
    return forms | {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
