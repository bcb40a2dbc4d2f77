"""Build errors from the responses of registries."""

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
    QuotaExceededError,
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
# A full quota has many statuses (Harbor: 403, goharbor/harbor#17390), so it is recognised by its text.
_QUOTA_WORDS = ("quota", "exceed the configured upper limit")


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done, to what, and on which side."""

    name: str
    reference: str
    origin: str

    def make_error(self, kind: type[RegistryError], detail: str, *, status: int | None = None, code: str = "", hint: str = "") -> RegistryError:
        """Return an error of *kind* about this operation."""
        return kind(self.name, self.reference, origin=self.origin, detail=detail, status=status, code=code, hint=hint)


def make_status_error(operation: Operation, status: int, *, headers: Mapping[str, str], body: bytes) -> RegistryError:
    """Return the error for *status* and *body*."""
    code, detail = _read_message(body)
    kind = _choose_kind(status, f"{code} {detail}".lower())
    error = operation.make_error(kind, detail, status=status, code=code, hint=_choose_hint(kind, code))
    if error.transient:
        error.retry_after_seconds = parse_retry_after(headers.get("retry-after", ""), now=time.time())
    return error


def parse_retry_after(text: str, *, now: float) -> float | None:
    """Return the seconds of `Retry-After`, None if malformed."""
    text = text.strip()
    seconds = parse_integer(text)
    if seconds is not None:
        return float(seconds)
    moment = parse_http_date(text)
    return None if moment is None else max(0.0, moment.timestamp() - now) or None


def parse_http_date(text: str) -> dt.datetime | None:
    """Parse an HTTP date; return None if malformed."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _choose_kind(status: int, words: str) -> type[RegistryError]:
    if status in _REFUSALS and "immutable" in words:
        return ImmutableTagError
    if 400 <= status < 600 and status not in {401, 429} and any(word in words for word in _QUOTA_WORDS):
        return QuotaExceededError
    if status in _TRANSIENT:
        return UnreachableError
    special: dict[int, type[RegistryError]] = {401: AuthenticationError, 403: AccessDeniedError, 404: NotFoundError, 429: RateLimitedError}
    if status in special:
        return special[status]
    return RejectedError if 400 <= status < 600 else UnexpectedResponseError


def _read_message(body: bytes) -> tuple[str, str]:
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


def _choose_hint(kind: type[RegistryError], code: str) -> str:
    if kind is QuotaExceededError:
        return "the destination's quota is used up; raise it, or mirror less"
    if kind is ImmutableTagError:
        return "the registry does not allow this tag to be changed; exclude the tag, or allow changes in the registry"
    if kind is AccessDeniedError:
        return "the credentials are valid but do not allow this; check the permissions of the account on this repository"
    if kind is NotFoundError and code == "NAME_UNKNOWN":
        return "the repository does not exist, or this account cannot see it"
    if kind is RateLimitedError:
        return "lower `rate` or `concurrency` for this registry, or log in for a higher limit"
    return ""
