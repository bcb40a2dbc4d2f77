"""Check what servers answer: headers, tokens, redirects, bodies."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from urllib.parse import quote

from fuzz.canned import Canned
from fuzz.laws.shared import BLOB, OPERATION, REPOSITORY
from imgsync.errors import ImgsyncError
from imgsync.listing.json_fields import parse_timestamp
from imgsync.oci.auth.challenge import parse_challenges
from imgsync.oci.auth.token import parse_token
from imgsync.oci.errors import make_status_error, parse_retry_after
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.response_parser import ResponseParser
from imgsync.oci.limits.pull_limit import PullLimit
from imgsync.oci.referrers_api import list_referrers
from imgsync.oci.responses import read_body
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_message

_HEAD_LIMIT = 64 << 10


def headers(data: bytes) -> None:
    """
    Check challenges, Retry-After, dates, rate limits, error bodies and token answers.

    Each one is read, is ignored, or raises an error of imgsync.
    """
    _token(data)
    text = data.decode("latin-1")
    lines = text.split("\n")
    for challenge in parse_challenges(lines):
        assert challenge.scheme == challenge.scheme.lower()
        assert challenge.scheme.isascii()
        assert all(name == name.lower() for name in challenge.parameters)
    for line in lines[:20]:
        seconds = parse_retry_after(line, now=1.0)
        assert seconds is None or seconds >= 0
        moment = parse_timestamp(line)
        assert moment is None or moment.tzinfo is not None
    budget = PullLimit("r.corp.com")
    budget.update({"ratelimit-remaining": lines[0], "ratelimit-limit": lines[-1]}, before=None)
    assert budget.quota is None or str(budget.quota)
    assert sanitize_message(text).isprintable()
    _redact(text)
    for status in (200, 400, 401, 403, 404, 429, 503, 999):
        error = make_status_error(OPERATION, status, headers={"retry-after": lines[0]}, body=data)
        assert str(error).isprintable()
        assert len(str(error)) < 8000


def _redact(text: str) -> None:
    """Check that a secret is hidden in each form, and JSON keeps its structure."""
    secret = text[:60]
    redaction = Redaction()
    redaction.hide([secret])
    if len(secret) >= 4 and secret.strip("*"):
        for shown in (secret, json.dumps(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode()):
            assert "***" in redaction.clean(f"before {shown} after")
    cleaned = json.loads(redaction.clean_bytes(json.dumps({"key": [text, 1, None]}).encode()))
    assert list(cleaned) == ["key"]
    assert cleaned["key"][1:] == [1, None]


def exchanges(data: bytes) -> None:
    """
    Check requests for a manifest and its referrers.

    Challenges, tokens and redirects end with the bytes of the digest or with an error. No login reaches an untrusted host.
    """
    first, _, text = data.partition(b"\n")
    digest = first.decode("latin-1").strip()
    canned = Canned(text)
    reference = REPOSITORY.with_digest(digest) if is_digest(digest) else REPOSITORY.with_tag("1")
    with contextlib.suppress(ImgsyncError):
        resolved = canned.client.resolve(reference)
        assert resolved is None or is_digest(resolved.digest)
    with contextlib.suppress(ImgsyncError):
        manifest = canned.client.pull_manifest(reference)
        assert manifest.digest == compute_digest(manifest.raw, like=manifest.digest)
        assert not reference.digest or manifest.digest == reference.digest
    with contextlib.suppress(ImgsyncError):
        found = list_referrers(canned.client, REPOSITORY, BLOB.digest)
        assert all(is_digest(one.digest) for one in found or ())
    with contextlib.suppress(ImgsyncError):
        canned.client.fetch_challenge()
    with contextlib.suppress(ImgsyncError):
        canned.client.check_push(REPOSITORY)


def _token(data: bytes) -> None:
    with contextlib.suppress(ImgsyncError):
        token = parse_token(data, ("repository:app:pull",), login=None, operation=OPERATION)
        assert token.text
        assert token.text.isascii()
        assert token.text.isprintable()
        # imgsync limits every lifetime to one hour.
        assert token.ends <= time.monotonic() + 3600


def answers(data: bytes) -> None:
    """
    Check HTTP answers, cut anywhere and in any encoding.

    There is a status and a body within its limit, or an httpx error that becomes an error of imgsync.
    """
    for size in (7, len(data) or 1):
        parser = ResponseParser("GET")
        with contextlib.suppress(httpx.RemoteProtocolError):
            for begin in range(0, len(data), size):
                parser.feed(data[begin : begin + size])
        if not parser.has_head:
            continue
        assert 200 <= parser.status < 1000
        response = httpx.Response(parser.status, headers=parser.headers, stream=httpx.ByteStream(b"".join(parser.take_pieces())))
        with contextlib.suppress(ImgsyncError):
            assert len(read_body(response, _HEAD_LIMIT, operation=OPERATION)) <= _HEAD_LIMIT
