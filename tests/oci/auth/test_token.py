"""Tokens: the request, the response, and the lifetime."""

from __future__ import annotations

import datetime as dt
import json
import time
from types import SimpleNamespace

import pytest

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.auth import token as token_module
from imgsync.oci.auth.challenge import Challenge
from imgsync.oci.auth.token import make_refresh_form, make_token_url, parse_token
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation

OPERATION = Operation("get a token for", "r.io/app:1", "source")
NOW = 1_000.0
TODAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Stopped(dt.datetime):
    """A wall clock that stays at TODAY."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
        return TODAY.astimezone(tz)


@pytest.fixture
def now(monkeypatch):
    """Stop both clocks."""
    monkeypatch.setattr(token_module.time, "monotonic", lambda: NOW)
    monkeypatch.setattr(token_module, "dt", SimpleNamespace(datetime=Stopped, UTC=dt.UTC))


def life(**said: object) -> float:
    """Return for how many seconds such a token is used."""
    token = parse_token(json.dumps({"token": "t", **said}).encode(), ["repository:app:pull"], login=None, operation=OPERATION)
    return token.ends - NOW


def issued(**ago: float) -> str:
    return (TODAY - dt.timedelta(**ago)).isoformat()


@pytest.mark.row("AUTH-16")
@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (300, 240),
        (300.5, 240.4),
        (1, 0.8),
        (3600, 2880),
        (3601, 2880),
        (10**400, 2880),
        (0, 48),
        (-5, 48),
        (True, 48),
        ("300", 48),
        (None, 48),
        ([300], 48),
    ],
)
def test_four_fifths_of_a_token_s_life_are_used(now, said, seconds):
    """Of one hour at most."""
    assert life(expires_in=said) == pytest.approx(seconds)


def test_token_without_a_lifetime_has_a_minute(now):
    """As the specification says."""
    assert life() == pytest.approx(48)


@pytest.mark.row("AUTH-16")
@pytest.mark.parametrize(
    ("ago", "seconds"),
    [
        ({"seconds": 100}, 160),
        ({"seconds": 299}, 0.8),
        ({"minutes": 5}, 240),
        ({"hours": 1}, 240),
        ({"seconds": -100}, 240),
    ],
)
def test_age_of_a_token_shortens_its_use(now, ago, seconds):
    """Unless the clocks differ, as for a token from the future."""
    assert life(expires_in=300, issued_at=issued(**ago)) == pytest.approx(seconds)


@pytest.mark.parametrize("said", ["2026-01-01T00:00:00", "soon", "", 5, None, "9999-99-99T00:00:00Z"])
def test_invalid_issue_time_is_ignored(now, said):
    """The token counts as issued now."""
    assert life(expires_in=300, issued_at=said) == pytest.approx(240)


def test_token_older_than_its_lifetime_is_used(now):
    """The clocks differ, so it is used for its whole lifetime."""
    assert life(expires_in=60, issued_at=issued(seconds=60)) == pytest.approx(48)
    assert life(expires_in=60, issued_at=issued(seconds=200)) == pytest.approx(48)


def test_token_keeps_its_requested_scope():
    """Other fields of the response do not change it."""
    login = Credentials("user", "pass", found_in="a test")

    token = parse_token(b'{"token":"","access_token":"abc","scope":"registry:catalog:*"}', ["repository:app:pull"], login=login, operation=OPERATION)

    assert (token.text, token.scopes, token.login) == ("abc", frozenset({"repository:app:pull"}), login)
    assert "abc" not in repr(token)


@pytest.mark.row("AUTH-16")
@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"abc"', b"{}", b'{"token":""}', b'{"token":7}', b'{"token":"a\\nb"}', b'{"token":"\xc3\xa9"}', b"[" * 100_000, b'{"token":["a"]}', b"\xff"],
)
def test_response_without_a_token_is_an_error(body):
    """A token must fit into a header; the response is not repeated."""
    with pytest.raises(UnexpectedResponseError) as caught:
        parse_token(body, [], login=None, operation=OPERATION)

    assert caught.value.status == 200
    assert "has no token" in str(caught.value)


def test_web_page_in_place_of_a_token_is_named():
    """A login page or a proxy answers with 200."""
    with pytest.raises(UnexpectedResponseError, match="a web page, which is not a registry's response"):
        parse_token(b"<html><title>Sign in</title></html>", [], login=None, operation=OPERATION)


@pytest.mark.row("AUTH-18")
@pytest.mark.parametrize(
    ("realm", "service", "url"),
    [
        ("https://a.io/token", "r.io", "https://a.io/token?service=r.io&scope=repository%3Aapp%3Apull&scope=x"),
        ("https://a.io/token?account=1", "r.io", "https://a.io/token?account=1&service=r.io&scope=repository%3Aapp%3Apull&scope=x"),
        ("https://a.io/token", "", "https://a.io/token?scope=repository%3Aapp%3Apull&scope=x"),
        ("https://a.io/token", "a&scope=y/#", "https://a.io/token?service=a%26scope%3Dy%2F%23&scope=repository%3Aapp%3Apull&scope=x"),
    ],
)
def test_token_request_has_our_own_scopes(realm, service, url):
    """And the challenge's `service`, encoded."""
    challenge = Challenge("bearer", {"realm": realm, "service": service, "scope": "registry:catalog:*"})

    assert make_token_url(challenge, ["repository:app:pull", "x"]) == url


def test_identity_token_is_exchanged_by_a_form():
    """As OAuth2 defines it."""
    challenge = Challenge("bearer", {"realm": "https://a.io/token", "service": "r.io"})

    form = make_refresh_form(challenge, ["repository:app:pull", "x"], Credentials("", "s&cret", found_in="a test"))

    assert form == b"grant_type=refresh_token&service=r.io&client_id=imgsync&scope=repository%3Aapp%3Apull+x&refresh_token=s%26cret"


@pytest.mark.row("AUTH-16")
@pytest.mark.parametrize(
    ("more", "least", "most"),
    [
        ({}, 48, 48),
        ({"expires_in": 0}, 48, 48),
        ({"expires_in": -5}, 48, 48),
        ({"expires_in": "300"}, 48, 48),
        ({"expires_in": True}, 48, 48),
        ({"expires_in": None}, 48, 48),
        ({"expires_in": float("nan")}, 48, 48),
        ({"expires_in": 100.5}, 80, 81),
        ({"expires_in": 10**12}, 2880, 2880),
        ({"expires_in": 10**400}, 2880, 2880),
        ({"expires_in": float("inf")}, 2880, 2880),
        ({"expires_in": 300, "issued_at": "9999-12-31T23:59:59-23:59"}, 240, 240),
        ({"expires_in": 300, "issued_at": "0001-01-01T00:00:00+23:59"}, 240, 240),
        ({"expires_in": 300, "issued_at": "yesterday"}, 240, 240),
        ({"expires_in": 300, "issued_at": 5}, 240, 240),
    ],
    ids=str,
)
@pytest.mark.parametrize("field", ["token", "access_token"])
def test_lifetime_of_a_token_is_bounded(field, more, least, most):
    """A minute if it is implausible, an hour at most, four fifths of it used."""
    operation = Operation("get a token for", "r.io/a", "source")

    token = parse_token(json.dumps({field: "text", **more}).encode(), ["a"], login=None, operation=operation)

    assert token.text == "text"
    assert least - 1 < token.ends - time.monotonic() <= most


@pytest.mark.row("AUTH-16")
def test_token_that_arrives_old_is_still_used():
    """A clock that is minutes behind must not cost a token per request."""
    issued = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=200)).isoformat()
    operation = Operation("get a token for", "r.io/a", "source")

    def life(expires_in: int) -> float:
        document = {"token": "text", "issued_at": issued, "expires_in": expires_in}
        return parse_token(json.dumps(document).encode(), ["a"], login=None, operation=operation).ends - time.monotonic()

    assert 79 < life(300) <= 80.1, "a hundred seconds are left of it"
    assert 47 < life(60) <= 48
