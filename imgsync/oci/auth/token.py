"""
Build token requests and read the tokens from responses.

Spec: distribution "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any
from urllib.parse import quote, urlencode

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.auth.challenge import Challenge
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation
from imgsync.system.dataclass import dataclass

_CLIENT_ID = "imgsync"
_TOKEN_FIELDS = {"token", "access_token", "refresh_token", "id_token", "identity_token"}
_DEFAULT_LIFE_SECONDS = 60.0
_LONGEST_LIFE_SECONDS = 3600.0
_USED_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token, used until the monotonic second `ends`."""

    text: str = field(repr=False)
    scopes: frozenset[str]
    login: Credentials | None
    ends: float


def make_token_url(challenge: Challenge, scopes: Sequence[str]) -> str:
    """Return the URL of a token; some servers read only one scope."""
    realm = challenge.parameters["realm"]
    query = [f"service={quote(challenge.parameters['service'], safe='')}"] if challenge.parameters.get("service") else []
    query += [f"scope={quote(scope, safe='')}" for scope in scopes]
    return realm + ("&" if "?" in realm else "?") + "&".join(query)


def make_refresh_form(challenge: Challenge, scopes: Sequence[str], login: Credentials) -> bytes:
    """Return the form that exchanges an identity token for one with *scopes*."""
    fields = {"grant_type": "refresh_token", "service": challenge.parameters.get("service", ""), "client_id": _CLIENT_ID}
    return urlencode({**fields, "scope": " ".join(scopes), "refresh_token": login.password}).encode()


def parse_token(body: bytes, scopes: Sequence[str], *, login: Credentials | None, operation: Operation) -> Token:
    """
    Return the token in a token server's response.

    Raises:
        UnexpectedResponseError: The token is missing or not valid in a header.
    """
    try:
        document: dict[str, Any] = json.loads(body)
        text = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        text = None
    if not isinstance(text, str) or not text or not text.isprintable() or not text.isascii():
        from imgsync.oci.error_body import is_web_page, read_error_body

        detail = read_error_body(body).detail if is_web_page(body) else "the token server's response has no token"
        raise operation.make_error(UnexpectedResponseError, detail, status=200)
    return Token(text, frozenset(scopes), login, time.monotonic() + _USED_SHARE * _compute_life_seconds(document))


def list_tokens(body: bytes) -> list[str]:
    """Return every token in a token server's response, used or not."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return []
    return [value for name, value in document.items() if name in _TOKEN_FIELDS and isinstance(value, str)] if isinstance(document, dict) else []


def _compute_life_seconds(document: Mapping[str, Any]) -> float:
    life = document.get("expires_in")
    # Limited before the conversion, because an integer may be too large for a float.
    seconds = float(min(life, _LONGEST_LIFE_SECONDS)) if isinstance(life, int | float) and not isinstance(life, bool) and life > 0 else _DEFAULT_LIFE_SECONDS
    age = _compute_age_seconds(document.get("issued_at"))
    # A token that is too old on arrival means that the clocks differ.
    return seconds - age if age < seconds else seconds


def _compute_age_seconds(issued_at: object) -> float:
    if not isinstance(issued_at, str):
        return 0.0
    try:
        issued = dt.datetime.fromisoformat(issued_at)
        age = (dt.datetime.now(dt.UTC) - issued).total_seconds()
    except (ValueError, TypeError, OverflowError):
        # Not a time, or one without a time zone.
        return 0.0
    # A larger difference comes from the server's clock, not from the token's age.
    return age if 0 < age < 300 else 0.0
