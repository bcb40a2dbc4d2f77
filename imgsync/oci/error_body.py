"""
Read the body of an error response in any shape.

Shapes: the specification's list of errors, one error without the list, OAuth errors, errors of listing APIs, and web pages of proxies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message

# Says nothing: distribution's code for an error that it did not expect.
_EMPTY_CODES = {"", "UNKNOWN"}
_CODE_FIELDS = ("code", "error_type", "__type")
_TEXT_FIELDS = ("message", "error_message", "error_description", "msg", "title", "Message")
_DETAIL_FIELDS = ("detail", "details", "description")
_OAUTH_CODE = re.compile(r"[a-z]+(?:_[a-z]+)*")
_CODE_LENGTH = 60
_FURTHER_LENGTH = 120
_DETAIL_LENGTH = 500
_SHOWN = 5
_PAGE_BYTES = 4000
_PAGE_LENGTH = 120
_PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|h1|center|script)\b", re.IGNORECASE)
_UNSEEN = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|$)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>?")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """
    What the body of an error response says.

    `code` and the beginning of `detail` are those of the error that says most. `codes` are all codes, that one first. `is_late` says that an error that
    says nothing precedes it, so the HTTP status is not its status. `is_page` says that the body is a web page.
    """

    code: str = ""
    detail: str = ""
    codes: tuple[str, ...] = ()
    is_late: bool = False
    is_page: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    code: str
    text: str

    @property
    def rank(self) -> int:
        return 0 if self.code not in _EMPTY_CODES else 1 if self.text and self.text != "unknown error" else 2

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.code and self.text else self.code or self.text


def read_error_body(body: bytes) -> ErrorBody:
    """Return what *body* says, sanitized and bounded."""
    if is_web_page(body):
        words = f': "{text}"' if (text := _read_page(body)) else ""
        return ErrorBody(detail=f"a web page, which is not a registry's response{words}", is_page=True)
    entries = [entry for entry in _read_entries(body) if entry.code or entry.text]
    if not entries:
        return ErrorBody(detail=sanitize_message(_TAG.sub(" ", body[:2000].decode("utf-8", "replace"))))
    first, *others = dict.fromkeys(sorted(entries, key=lambda entry: entry.rank))
    return ErrorBody(
        first.code,
        _join_texts(first, others),
        tuple(dict.fromkeys(entry.code for entry in (first, *others) if entry.code)),
        is_late=entries[0] != first,
    )


def is_web_page(body: bytes) -> bool:
    """Return whether *body* begins as an HTML page."""
    head = body[:_PAGE_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith(b"<") and not head.startswith(b"<?xml") and _PAGE.search(head) is not None


def _join_texts(first: _Entry, others: list[_Entry]) -> str:
    shown = [str(entry)[:_FURTHER_LENGTH] for entry in others[: _SHOWN - 1]]
    more = [f"and {len(others) - len(shown)} more"] if len(others) > len(shown) else []
    # Cut in parts, so that a long first text hides no code.
    return sanitize_message("; ".join(part for part in (first.text, *shown, *more) if part), limit=_DETAIL_LENGTH)


def _read_page(body: bytes) -> str:
    text = body[:_PAGE_BYTES].decode("utf-8", "replace")
    return sanitize_message(_TAG.sub(" ", _UNSEEN.sub(" ", text.lstrip("\ufeff"))), limit=_PAGE_LENGTH).replace('"', "'")


def _read_entries(body: bytes) -> Iterable[_Entry]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    return map(_read_entry, _find_errors(document))


def _find_errors(document: Any) -> list[Any]:
    """Return the errors in *document*, at least one."""
    if isinstance(document, dict):
        for inner in (document.get("errors"), document.get("error")):
            if isinstance(inner, dict | list) and inner:
                return _find_errors(inner) if isinstance(inner, list) else [inner]
        if isinstance(document.get("errors"), str):
            return [document["errors"]]
    return document if isinstance(document, list) else [document]


def _read_entry(entry: Any) -> _Entry:
    if isinstance(entry, str):
        return _Entry("", _clean(entry))
    if not isinstance(entry, dict):
        return _Entry("", "")
    code = _find_text(entry, _CODE_FIELDS)
    error = entry.get("error")
    if not code and isinstance(error, str) and _OAUTH_CODE.fullmatch(error):
        code, error = error, ""
    parts = [_find_text(entry, _TEXT_FIELDS) or (error if isinstance(error, str) else ""), _find_text(entry, _DETAIL_FIELDS)]
    return _Entry(sanitize_message(code, limit=_CODE_LENGTH).upper(), _clean(" ".join(dict.fromkeys(part for part in parts if part))))


def _find_text(entry: dict[str, Any], fields: tuple[str, ...]) -> str:
    """Return the first of *fields* that is not empty, as text."""
    value = next((entry[name] for name in fields if entry.get(name) and not isinstance(entry[name], bool)), "")
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except RecursionError:
        return ""


def _clean(text: str) -> str:
    return " ".join(text.split())[:300]
