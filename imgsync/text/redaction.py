"""
Secrets replaced by `***` in all output, by value.

A registry may echo what it was sent, so every text is searched for every known secret in each form a secret may be written in, and for
what looks like a login, a token or a signature.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Iterable
from typing import Any

from imgsync.text.secret_forms import list_secret_forms

_MASK = "***"
# Every form of a long secret is found by its first characters: a text is searched in steps, so a window must lie within the form at each offset.
_STEP = 4
_WINDOW = 12
_LONG = _WINDOW + _STEP - 1
# Windows that are kept; a run may fetch thousands of tokens, of which old ones have expired.
_MAX_WINDOWS = 1 << 16
_WORD = re.compile(r"[^\s\"'<>`…,;)]*")
_LOGIN = re.compile(r"\b((?:https?|socks\w{0,2}):(?:\\?/){2})[^\s/@\"'<>\\]+@", re.IGNORECASE)
_QUERY = re.compile(
    r"((?:[?&;]|%3F|%26|\\u0026|\\u003f)"
    r"(?:x-(?:amz|goog)-(?:signature|security-token|credential)|sig|signature|verify|policy|auth_key|[a-z_-]{0,12}(?:token|secret|password|api[_-]?key))"
    r"(?:=|%3D|\\u003d))[^\s&\"'<>\\]+",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(r"\b((?:bearer|basic)(?:\s|%20|\\u0020|\+){1,4})[A-Za-z0-9._~+/=-]{20,}", re.IGNORECASE)


class Redaction:
    """The secrets of one run; more may be added at any time."""

    def __init__(self) -> None:
        """Start with no secrets."""
        self._known: set[str] = set()
        self._short_forms: list[str] = []
        self._windows: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide *secrets* from now on; shorter than four characters are ignored."""
        for secret in secrets:
            if secret in self._known:
                continue
            with self._lock:
                self._known.add(secret)
                self._add_forms(list_secret_forms(secret))

    def clean(self, text: str) -> str:
        """Return *text* with every secret replaced by `***`."""
        if self._windows:
            text = self._mask_long_forms(text)
        for form in self._short_forms:
            text = text.replace(form, _MASK)
        return _mask_credentials(text)

    def clean_bytes(self, data: bytes) -> bytes:
        """
        Return *data*, JSON or text, with every secret replaced by `***`.

        Call it before *data* is cut: a short secret cut in two cannot be found.
        """
        with contextlib.suppress(ValueError, RecursionError):
            # By value: JSON may escape any character of a secret.
            return json.dumps(self.clean_values(json.loads(data))).encode()
        return self.clean(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def clean_values(self, document: Any) -> Any:
        """Return a JSON *document* with every string value cleaned; keys stay."""
        if isinstance(document, str):
            return self.clean(document)
        if isinstance(document, dict):
            return {key: self.clean_values(value) for key, value in document.items()}
        if isinstance(document, list | tuple):
            return [self.clean_values(value) for value in document]
        return document

    def _add_forms(self, forms: set[str]) -> None:
        # Longest first: a secret may contain another one.
        short = {form for form in forms if len(form) < _LONG}
        self._short_forms = sorted({*self._short_forms, *short}, key=len, reverse=True)
        if len(self._windows) > _MAX_WINDOWS:
            self._windows = dict(list(self._windows.items())[_MAX_WINDOWS // 2 :])
            self._known.clear()
        for form in forms - short:
            for offset in range(_STEP):
                found = self._windows.setdefault(form[offset : offset + _WINDOW], [])
                if form not in found:
                    found.append(form)

    def _mask_long_forms(self, text: str) -> str:
        """Replace long forms, also those of which the end was cut off."""
        windows, pieces, done = self._windows, [], 0
        for position in range(0, len(text) - _WINDOW + 1, _STEP):
            forms = windows.get(text[position : position + _WINDOW])
            if forms is None:
                continue
            start, end = _find_longest(text, position, forms)
            if end > done:
                if start >= done:
                    pieces += [text[done:start], _MASK]
                done = end
        return "".join([*pieces, text[done:]]) if done else text


def _find_longest(text: str, position: int, forms: Iterable[str]) -> tuple[int, int]:
    """Return where the longest beginning of one of *forms* is around *position*."""
    spans = [
        (start, start + len(form) if text.startswith(form, start) else _find_end_of_word(text, start + _LONG))
        for form in forms
        for start in range(position, max(-1, position - _STEP), -1)
        if text.startswith(form[:_LONG], start)
    ]
    return max(spans, key=lambda span: span[1], default=(0, 0))


def _find_end_of_word(text: str, position: int) -> int:
    # The rest of the form was cut off, or is written in another way.
    rest = _WORD.match(text, position)
    return position if rest is None else rest.end()


def _mask_credentials(text: str) -> str:
    """Replace what looks like a login, a token or a signature."""
    if "//" in text or "\\/" in text:
        text = _LOGIN.sub(rf"\1{_MASK}@", text)
    if "=" in text or "%3" in text or "\\u003" in text:
        text = _QUERY.sub(rf"\1{_MASK}", text)
    return _AUTHORIZATION.sub(rf"\1{_MASK}", text)
