"""
One token: how it is asked for, and what the answer holds.

Spec: distribution "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.auth.challenge import Challenge
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation

_CLIENT_ID = "imgsync"
_DEFAULT_LIFE_SECONDS = 60.0
_LONGEST_LIFE_SECONDS = 3600.0
_USED_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token: for which scopes, for whom, and the monotonic second from which on another is asked for."""

    text: str = field(repr=False)
    scopes: frozenset[str]
    login: Credentials | None
    ends: float


def token_url(challenge: Challenge, scopes: Sequence[str]) -> str:
    """Return the URL of the GET for a token; the first of *scopes* is the one that matters most, for servers that read no other."""
    realm = challenge.parameters["realm"]
    query = [f"service={quote(challenge.parameters['service'], safe='')}"] if challenge.parameters.get("service") else []
    query += [f"scope={quote(scope, safe='')}" for scope in scopes]
    return realm + ("&" if "?" in realm else "?") + "&".join(query)


def refresh_form(challenge: Challenge, scopes: Sequence[str], login: Credentials) -> bytes:
    """Return the body of the POST that exchanges an identity token for one with *scopes*."""
    fields = {"grant_type": "refresh_token", "service": challenge.parameters.get("service", ""), "client_id": _CLIENT_ID}
    return urlencode({**fields, "scope": " ".join(scopes), "refresh_token": login.password}).encode()


def parse_token(body: bytes, scopes: Sequence[str], *, login: Credentials | None, operation: Operation) -> Token:
    """
    Return the token that a server's answer holds, as `token` or as `access_token`.

    Raises:
        UnexpectedResponseError: There is none, or it cannot stand in a header.
    """
    try:
        document: dict[str, Any] = json.loads(body)
        text = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        text = None
    if not isinstance(text, str) or not text or not text.isprintable() or not text.isascii():
        raise operation.failed(UnexpectedResponseError, "the token server's answer holds no token", status=200)
    return Token(text, frozenset(scopes), login, time.monotonic() + _USED_SHARE * _life_seconds(document))


def _life_seconds(document: Mapping[str, Any]) -> float:
    life = document.get("expires_in")
    # Compared before it is made a float: a whole number may be too large to be one.
    seconds = float(min(life, _LONGEST_LIFE_SECONDS)) if isinstance(life, int | float) and not isinstance(life, bool) and life > 0 else _DEFAULT_LIFE_SECONDS
    age = _age_seconds(document.get("issued_at"))
    # One that would be too old when it comes tells of clocks that differ, not of its age.
    return seconds - age if age < seconds else seconds


def _age_seconds(issued_at: object) -> float:
    if not isinstance(issued_at, str):
        return 0.0
    try:
        issued = dt.datetime.fromisoformat(issued_at)
        age = (dt.datetime.now(dt.UTC) - issued).total_seconds()
    except (ValueError, TypeError, OverflowError):
        # No moment, or one without a time zone.
        return 0.0
    # A clock that differs from ours by hours says nothing about the token's age.
    return age if 0 < age < 300 else 0.0
