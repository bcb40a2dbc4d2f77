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
        forms = {form for secret in secrets if len(secret) >= _SHORTEST_SECRET for form in _forms(secret)}
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


def concealed(body: bytes, secrets: Iterable[str]) -> bytes:
    """
    Return *body*, words of somebody who was sent *secrets*, with `***` for each of them as it was sent or as JSON may write it.

    For words that are still to be cut: what is left of a secret that was cut through cannot be found. Cheaper than a `Redaction`, for
    a run has thousands of tokens.
    """
    for secret in sorted({text for text in secrets if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True):
        for form in {secret, _slashed(secret)}:
            body = body.replace(form.encode(), b"***")
    return body


def _slashed(secret: str) -> str:
    """Return *secret* as some write it in JSON, where a slash may be escaped."""
    return secret.replace("/", "\\/")


def _forms(secret: str) -> set[str]:
    """Return *secret* as it may stand in a text: in a header, a URL, JSON, a traceback, on one line."""
    raw = secret.encode()
    forms = {secret, " ".join(secret.split()), repr(secret)[1:-1], *(json.dumps(secret, ensure_ascii=ascii_alone)[1:-1] for ascii_alone in (True, False))}
    forms |= {_slashed(secret), quote(secret), quote(secret, safe=""), quote_plus(secret, safe="")}
    return forms | {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
