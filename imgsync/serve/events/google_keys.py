"""Find the public keys of Google's tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from imgsync.config.fields import read_file
from imgsync.errors import ImgsyncError, UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.http.client import HttpClient
from imgsync.oci.http.connector import Connector
from imgsync.oci.http.request import Request
from imgsync.oci.http.ssrf_guard import SsrfGuard
from imgsync.oci.http.tls import make_tls_context
from imgsync.oci.http.url import parse_url
from imgsync.oci.responses import HTTP_ERRORS, read_body, translate_error
from imgsync.serve.clock import Clock

GOOGLE_KEYS = "https://www.googleapis.com/oauth2/v3/certs"
_LIMIT_BYTES = 64 << 10
_FETCH_SECONDS = 5.0
_KEEP_SECONDS = 3600.0
_PAUSE_SECONDS = 60.0
_MIN_RSA_BITS = 2048
_OPERATION = Operation("fetch the keys of Google's tokens", "www.googleapis.com", "sender")


class KeysUnavailableError(Exception):
    """The keys cannot be had now, so no token can be judged."""


class GoogleKeys:
    """
    Finds a public key by its id.

    Keys of Google are fetched when they are first needed, then once an hour, and once a minute for an unknown id. If that fails, the last ones count.
    """

    def __init__(self, clock: Clock, fetch: Callable[[], bytes] | None = None) -> None:
        """Fetch nothing yet."""
        self._clock = clock
        self._fetch = fetch or fetch_keys
        self._keys: Mapping[str, object] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def find(self, key_id: str, file: str) -> object | None:
        """
        Return the key *key_id* of *file*, or of Google without one.

        Raises:
            KeysUnavailableError: The keys cannot be read or fetched.
        """
        if file:
            return _read_keys(file).get(key_id)
        now = self._clock.monotonic()
        is_old = self._fetched_at is None or now - self._fetched_at > _KEEP_SECONDS
        if (is_old or key_id not in self._keys) and (self._tried_at is None or now - self._tried_at >= _PAUSE_SECONDS):
            self._refresh(now)
        found = self._keys.get(key_id)
        if found is None and self._fetched_at != self._tried_at:
            # The last attempt failed, or is under way.
            raise KeysUnavailableError
        return found

    def _refresh(self, now: float) -> None:
        # First, so that no other greenlet fetches meanwhile.
        self._tried_at = now
        try:
            self._keys = parse_keys(self._fetch())
        except (ImgsyncError, ValueError):
            return
        self._fetched_at = now


def parse_keys(document: bytes) -> Mapping[str, object]:
    """
    Return the RSA keys in a JSON Web Key Set, by id.

    Raises:
        ValueError: It is not a key set.
    """
    # Imported now: only tokens need it.
    import jwt

    try:
        keys = jwt.PyJWKSet.from_dict(json.loads(document)).keys
    except (jwt.PyJWTError, AttributeError, TypeError, KeyError, RecursionError) as error:
        raise ValueError("not a set of keys") from error
    return {key.key_id: key.key for key in keys if key.key_id and key.key_type == "RSA" and key.key.key_size >= _MIN_RSA_BITS}


def fetch_keys(url: str = GOOGLE_KEYS, *, ca: str | None = None) -> bytes:
    """
    Return the document at *url*; by default Google's keys.

    Raises:
        RegistryError: There is none within five seconds and 64 KiB.
    """
    origin, host, target = parse_url(url)
    context = make_tls_context(ca=ca)
    client = HttpClient(Connector(lambda _: context, SsrfGuard([origin[1:]])))
    ends = time.monotonic() + _FETCH_SECONDS

    def check() -> None:
        if time.monotonic() > ends:
            raise _OPERATION.make_error(UnexpectedResponseError, f"no answer within {_FETCH_SECONDS:g}s")

    request = Request(
        "GET", origin, host, target, (("Accept", "application/json"), ("Accept-Encoding", "identity")), timeout_seconds=_FETCH_SECONDS, check=check
    )
    try:
        response = client.send(request)
        body = read_body(response, _LIMIT_BYTES, operation=_OPERATION)
    except HTTP_ERRORS as error:
        raise translate_error(_OPERATION, error) from error
    finally:
        client.close()
    if response.status_code != 200:
        raise _OPERATION.make_error(UnexpectedResponseError, "no keys", status=response.status_code)
    return body


def _read_keys(file: str) -> Mapping[str, Any]:
    try:
        return parse_keys(read_file(file, limit=_LIMIT_BYTES))
    except (OSError, ValueError) as error:
        raise KeysUnavailableError from error
