"""Build errors from the responses of registries."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

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
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.oci.error_body import ErrorBody

_TRANSIENT = {408, 425, 499, 500, 502, 503, 504, 520, 521, 522, 523, 524}
_REFUSALS = {400, 403, 405, 409, 412}
# Every digest in a body: distribution reports each missing blob as an error of its own, ECR all in one message.
_DIGEST = re.compile(rb"\bsha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})\b")
# A full quota has many statuses (Harbor: 403, goharbor/harbor#17390), so it is recognised by its text.
_QUOTA_WORDS = ("quota", "exceed the configured upper limit")
# Servers in front of a registry send these as pages; the status says enough.
_PAGE_IS_USUAL = {401, 413, 429}
_BAD_REQUEST = 400
# What Go's server, nginx and Apache answer to plain http at their port for TLS.
_TLS_WORDS = ("http request to an https server", "plain http request was sent to https port", "speaking plain http to an ssl-enabled")
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# Longer than any run. A longer number is still a wait, not a malformed one.
_LONGEST_WAIT_SECONDS = 1e15
# GitHub and Docker Hub send the time since 1970, others the seconds.
_RESETS = ("x-ratelimit-reset", "ratelimit-reset")
# From September 2001 to the year 2286, in seconds since 1970. As a duration, it would be more than thirty years.
_FIRST_MOMENT, _LAST_MOMENT = 1e9, 1e10
# The status says enough for these; what was asked for may say more about the others.
_EXPLAINED = {QuotaExceededError, ImmutableTagError, AccessDeniedError, RateLimitedError}
# The status that distribution gives to each code.
_STATUSES = {
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "TOOMANYREQUESTS": 429,
    "BLOB_UNKNOWN": 404,
    "MANIFEST_UNKNOWN": 404,
    "NAME_UNKNOWN": 404,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 404,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNVERIFIED": 400,
    "DIGEST_INVALID": 400,
    "SIZE_INVALID": 400,
    "NAME_INVALID": 400,
    "TAG_INVALID": 400,
    "UNSUPPORTED": 405,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """
    What is done, to what, and on which side.

    `subject` becomes text only in an error. `hint_if_missing` is what to do about a 404.
    """

    name: str
    subject: object
    origin: str
    hint_if_missing: str = ""

    @property
    def reference(self) -> str:
        """Return the subject as text."""
        return str(self.subject)

    def make_error(self, kind: type[RegistryError], detail: str, *, status: int | None = None, code: str = "", hint: str = "") -> RegistryError:
        """Return an error of *kind* about this operation."""
        return kind(self.name, self.reference, origin=self.origin, detail=detail, status=status, code=code, hint=hint)


def make_status_error(operation: Operation, status: int, *, headers: Mapping[str, str], body: bytes) -> RegistryError:
    """Return the error for *status* and *body*."""
    # Few runs read an error; docs/decisions/0006.
    from imgsync.oci.error_body import read_error_body

    said = read_error_body(body)
    kind = _choose_kind(_find_meant_status(status, said), f"{' '.join(said.codes)} {said.detail}".lower())
    error = operation.make_error(kind, said.detail, status=status, code=said.code, hint=_choose_hint(kind, status, said, operation))
    error.codes = said.codes
    error.digests = frozenset(found.decode() for found in _DIGEST.findall(body))
    if error.transient:
        error.retry_after_seconds = find_retry_after(headers, now=time.time())
    return error


def find_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the seconds to wait, by `Retry-After` or a reset time."""
    for name in ("retry-after", *_RESETS):
        seconds = parse_retry_after(headers.get(name, ""), now=now)
        if seconds is not None:
            return seconds
    return None


def parse_retry_after(text: str, *, now: float) -> float | None:
    """
    Return the seconds of `Retry-After`, None if malformed or past.

    Spec: RFC 9110 10.2.3. Docker Hub sends the time since 1970 in its place.
    """
    text = text.strip()
    if (found := _SECONDS.fullmatch(text)) is not None:
        seconds = min(float(found[0]), _LONGEST_WAIT_SECONDS)
        if seconds < _FIRST_MOMENT:
            return seconds
        moment_seconds = seconds / 1000 if _FIRST_MOMENT * 1000 <= seconds < _LAST_MOMENT * 1000 else seconds
        return _later(moment_seconds, now) if moment_seconds < _LAST_MOMENT else seconds
    moment = parse_http_date(text)
    return None if moment is None else _later(moment.timestamp(), now)


def _later(moment_seconds: float, now: float) -> float | None:
    return max(0.0, moment_seconds - now) or None


def parse_http_date(text: str) -> dt.datetime | None:
    """Parse an HTTP date; return None if malformed."""
    # Imported now: few responses have a date that matters.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
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


def _find_meant_status(status: int, said: ErrorBody) -> int:
    """Return the status of the error that says most."""
    if "TOOMANYREQUESTS" in said.codes and (status in _REFUSALS or status >= 500):
        return 429
    # distribution takes the status of its first error, which may be an unexpected one: google/go-containerregistry#709.
    return _STATUSES.get(said.code, status) if said.is_late and status not in {401, 429} else status


def _choose_hint(kind: type[RegistryError], status: int, said: ErrorBody, operation: Operation) -> str:
    if status == _BAD_REQUEST and any(words in said.detail.lower() for words in _TLS_WORDS):
        return "the registry uses TLS; remove `tls: false` of this registry from registries.yaml"
    if said.is_page and status not in _PAGE_IS_USUAL:
        return "a proxy, a firewall or a login page may have answered; check the registry's name and the network path"
    if kind is NotFoundError and said.code == "NAME_UNKNOWN":
        return "check the name: the repository does not exist, or this account cannot see it"
    if kind is NotFoundError and operation.hint_if_missing:
        return operation.hint_if_missing
    return kind.remedy if kind in _EXPLAINED else ""
