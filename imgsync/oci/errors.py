"""Statuses and foreign exceptions become our errors here, and nowhere else."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from imgsync.errors import (
    AccessDeniedError,
    AuthenticationError,
    ImmutableTagError,
    NotFoundError,
    QuotaSpentError,
    RateLimitedError,
    RegistryError,
    RejectedError,
    UnexpectedResponseError,
    UnreachableError,
)
from imgsync.text.sanitize import sanitize_message
from imgsync.text.units import parse_integer

_TRANSIENT = {408, 425, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524}
_REFUSALS = {400, 403, 405, 409, 412}
_QUOTA_WORDS = ("quota", "exceed the configured upper limit")


@dataclass(frozen=True, slots=True)
class Operation:
    """What is being tried, on what, on which side: the subject of every error."""

    name: str
    reference: str
    origin: str

    def failed(self, kind: type[RegistryError], detail: str, *, status: int | None = None, code: str = "", hint: str = "") -> RegistryError:
        """Return an error of *kind* about this operation."""
        return kind(self.name, self.reference, origin=self.origin, detail=detail, status=status, code=code, hint=hint)


def error_of(operation: Operation, status: int, *, headers: Mapping[str, str], body: bytes) -> RegistryError:
    """Return the error that *status* and the registry's own words amount to; *body* may be anything."""
    code, detail = _registry_words(body)
    kind = _kind(status, f"{code} {detail}".lower())
    error = operation.failed(kind, detail, status=status, code=code, hint=_hint(kind, code))
    if error.transient:
        error.retry_after_seconds = retry_after_seconds(headers.get("retry-after", ""), now=time.time())
    return error


def retry_after_seconds(text: str, *, now: float) -> float | None:
    """Return the seconds that a `Retry-After` of seconds or of a date asks for, None when it says neither."""
    text = text.strip()
    seconds = parse_integer(text)
    if seconds is not None:
        return float(seconds)
    moment = http_date(text)
    return None if moment is None else max(0.0, moment.timestamp() - now) or None


def http_date(text: str) -> dt.datetime | None:
    """Return the moment that *text*, a date as RFC 2822 and HTTP write it, tells; None when it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _kind(status: int, words: str) -> type[RegistryError]:
    if status in _REFUSALS and "immutable" in words:
        return ImmutableTagError
    if 400 <= status < 600 and status not in {401, 429} and any(said in words for said in _QUOTA_WORDS):
        return QuotaSpentError
    if status in _TRANSIENT:
        return UnreachableError
    special: dict[int, type[RegistryError]] = {401: AuthenticationError, 403: AccessDeniedError, 404: NotFoundError, 429: RateLimitedError}
    if status in special:
        return special[status]
    return RejectedError if 400 <= status < 600 else UnexpectedResponseError


def _registry_words(body: bytes) -> tuple[str, str]:
    try:
        errors = json.loads(body)["errors"]
        first = errors[0]
        detail = first.get("message") or ""
        more = first.get("detail")
        text = f"{detail} {json.dumps(more) if more and not isinstance(more, str) else more or ''}"
        return sanitize_message(str(first.get("code") or "")).upper(), sanitize_message(text)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        text = body[:2000].decode("utf-8", "replace").strip()
        return "", "" if text.startswith("<") else sanitize_message(text)


def _hint(kind: type[RegistryError], code: str) -> str:
    if kind is QuotaSpentError:
        return "the destination's quota is used up; raise it there, or mirror less"
    if kind is ImmutableTagError:
        return "the registry keeps this tag as it is; take it out of the selection, or let it be moved there"
    if kind is AccessDeniedError:
        return "the credentials are known there but may not do this; check the permissions of the account on this repository"
    if kind is NotFoundError and code == "NAME_UNKNOWN":
        return "the repository does not exist there, or this account may not see it"
    if kind is RateLimitedError:
        return "lower `rate` or `concurrency` for this registry, or log in for a higher limit"
    return ""
