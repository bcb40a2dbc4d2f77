"""
Secrets replaced by `***` in all output, by value.

A registry may echo what it was sent, so every text is searched for every known secret in each form a secret may be written in.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

# Shorter values occur in ordinary text.
_SHORTEST_SECRET = 4
_MASK = "***"
# Unreserved in URLs and plain everywhere else: most tokens.
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9._~-]+")


class Redaction:
    """The secrets of one run; more may be added at any time."""

    def __init__(self) -> None:
        """Start with no secrets."""
        self._forms: list[str] = []

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide *secrets* from now on; shorter than four characters are ignored."""
        self._forms = _sort_longest_first({*self._forms, *(form for secret in secrets for form in list_secret_forms(secret))})

    def clean(self, text: str) -> str:
        """Return *text* with every secret replaced by `***`."""
        for form in self._forms:
            text = text.replace(form, _MASK)
        return text

    def clean_values(self, document: Any) -> Any:
        """Return a JSON *document* with every string value cleaned; keys stay."""
        if not self._forms:
            return document
        if isinstance(document, str):
            return self.clean(document)
        if isinstance(document, dict):
            return {key: self.clean_values(value) for key, value in document.items()}
        if isinstance(document, list | tuple):
            return [self.clean_values(value) for value in document]
        return document


def redact_bytes(body: bytes, secrets: Iterable[str]) -> bytes:
    """
    Return *body* with every form of *secrets* replaced by `***`.

    Call it before *body* is cut: a secret cut in two cannot be found.
    """
    # A run holds thousands of tokens, most of them longer than an error message.
    possible = (secret for secret in secrets if len("".join(secret.split())) <= len(body))
    for form in _sort_longest_first({form for secret in possible for form in list_secret_forms(secret)}):
        body = body.replace(form.encode(), _MASK.encode())
    return body


def list_secret_forms(secret: str) -> set[str]:
    """Return *secret* as headers, URLs, JSON, tracebacks and base64 write it."""
    if len(secret) < _SHORTEST_SECRET:
        return set()
    in_base64 = {encode(secret.encode()).decode() for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    return {secret, *in_base64} if _NEVER_ESCAPED.fullmatch(secret) else {secret, *in_base64, *_list_escaped_forms(secret)}


def _list_escaped_forms(secret: str) -> set[str]:
    as_json = [json.dumps(secret, ensure_ascii=ensure_ascii)[1:-1] for ensure_ascii in (True, False)]
    # Some JSON encoders escape slashes.
    escaped_slashes = [text.replace("/", "\\/") for text in (secret, *as_json)]
    percent_encoded = [quote(secret), quote(secret, safe=""), quote_plus(secret, safe="")]
    return {" ".join(secret.split()), repr(secret)[1:-1], *as_json, *escaped_slashes, *percent_encoded}


def _sort_longest_first(forms: set[str]) -> list[str]:
    # A secret may contain another one.
    return sorted(forms, key=len, reverse=True)
