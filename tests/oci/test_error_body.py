"""Bodies of error responses, in the shapes that registries and their APIs send."""

from __future__ import annotations

import pytest

from imgsync.errors import AccessDeniedError, ImmutableTagError, NotFoundError, QuotaExceededError, RateLimitedError, RejectedError, UnreachableError
from imgsync.oci.error_body import is_web_page, read_error_body
from imgsync.oci.errors import Operation, make_status_error
from tests.support.images import image, to_json
from tests.support.outcomes import errors_by_repository
from tests.switches import Respond

OPERATION = Operation("push manifest", "r.io/a:1", "destination")
UNKNOWN = {"code": "UNKNOWN", "message": "unknown error"}


def error(code: str, message: str = "", **more: object) -> dict[str, object]:
    return {"code": code, "message": message, **more}


@pytest.mark.parametrize(
    ("document", "code", "detail"),
    [
        ({"errors": [error("DENIED", "no access", detail=[{"Action": "push"}])]}, "DENIED", 'no access [{"Action": "push"}]'),
        ({"errors": [UNKNOWN, error("manifest_blob_unknown", "blob unknown", detail="sha256:1")]}, "MANIFEST_BLOB_UNKNOWN", "blob unknown sha256:1; UNKNOWN"),
        ({"errors": [{"status": 404, "message": "Artifactory says no"}]}, "", "Artifactory says no"),
        ({"errors": ["one", "two"]}, "", "one; two"),
        ({"errors": {"code": "X", "message": "y"}}, "X", "y"),
        (error("UNAUTHORIZED", "Harbor without the list"), "UNAUTHORIZED", "Harbor without the list"),
        ({"error": "invalid_grant", "error_description": "refresh token expired"}, "INVALID_GRANT", "refresh token expired"),
        ({"error": "Something broke"}, "", "Something broke"),
        ({"error": {"code": 403, "message": "Google's shape"}}, "403", "Google's shape"),
        ({"details": "incorrect username or password"}, "", "incorrect username or password"),
        ({"detail": "Rate limit exceeded", "error": False}, "", "Rate limit exceeded"),
        ({"message": "404 Project Not Found"}, "", "404 Project Not Found"),
        ({"message": {"base": ["is invalid"]}}, "", '{"base": ["is invalid"]}'),
        ({"error_type": "invalid_token", "error_message": "Quay's shape", "detail": "Quay's shape"}, "INVALID_TOKEN", "Quay's shape"),
        ([error("A", "one")], "A", "one"),
        ("text", "", "text"),
    ],
    ids=str,
)
def test_error_of_every_shape_is_read(document, code, detail):
    """Code and words of the error that says most come first."""
    said = read_error_body(to_json(document))

    assert (said.code, said.detail[: len(detail)]) == (code, detail)


def test_many_errors_are_shown_within_limits():
    """All codes are kept; the text is cut, with a count."""
    errors = [error(f"CODE_{number}", "x" * 1000) for number in range(50)]

    said = read_error_body(to_json({"errors": [UNKNOWN, *errors]}))

    assert said.codes == (*(f"CODE_{number}" for number in range(50)), "UNKNOWN")
    assert len(said.detail) <= 500
    assert "CODE_1: x" in said.detail


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (500, "MANIFEST_BLOB_UNKNOWN", RejectedError),
        (500, "MANIFEST_INVALID", RejectedError),
        (500, "DENIED", AccessDeniedError),
        (400, "DENIED", AccessDeniedError),
        (500, "NAME_UNKNOWN", NotFoundError),
        (500, "TOOMANYREQUESTS", RateLimitedError),
        (403, "TOOMANYREQUESTS", RateLimitedError),
        (500, "QUOTA_EXCEEDED", QuotaExceededError),
        (409, "TAG_IMMUTABLE", ImmutableTagError),
        (500, "SOMETHING_NEW", UnreachableError),
    ],
)
def test_second_error_decides_if_the_first_says_nothing(status, code, kind):
    """The status is that of the first error, which may be an unexpected one."""
    found = make_status_error(OPERATION, status, headers={}, body=to_json({"errors": [UNKNOWN, error(code)]}))

    assert type(found) is kind
    assert (found.status, found.code, found.codes) == (status, code, (code, "UNKNOWN"))


@pytest.mark.parametrize("first", ["MANIFEST_INVALID", "DENIED"])
def test_status_stays_if_the_first_error_says_something(first):
    """A 500 with one clear error stays transient."""
    assert type(make_status_error(OPERATION, 500, headers={}, body=to_json({"errors": [error(first)]}))) is UnreachableError


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("<html><head><title>Sign in</title><style>a {}</style><script>if (1 < 2) {}</script></head><body>Please log in", "Sign in Please log in"),
        ("\ufeff\n<!DOCTYPE html><h1>403 Forbidden</h1>\nThis address is blocked.", "403 Forbidden This address is blocked."),
        ("<center><h1>504</h1></center>", "504"),
    ],
)
def test_page_is_named_with_its_words(page, words):
    """A proxy or login page is not a registry's response."""
    found = make_status_error(OPERATION, 403, headers={}, body=page.encode())

    assert f'a web page, which is not a registry\'s response: "{words}"' in found.detail
    assert "a proxy, a firewall or a login page" in found.hint
    assert is_web_page(page.encode())


def test_xml_and_json_are_not_pages():
    """Only HTML is."""
    assert not is_web_page(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')
    assert not is_web_page(b'{"message": "<html>"}')
    assert read_error_body(b"<Error><Code>AccessDenied</Code></Error>").detail == "AccessDenied"


def test_decisive_error_is_shown_and_not_retried(lab):
    """A manifest is refused with 500 and two errors: one try, and the words of the second."""
    lab.push("app", "1", image(1))
    refusal = {"errors": [UNKNOWN, error("MANIFEST_INVALID", "manifest invalid", detail="no such layer type")]}
    lab.destination.add(Respond(500, refusal), method="PUT", target="/manifests/1$")
    lab.declare("app", "referrers: false", retry="{attempts: 4, interval: 0s}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "500 MANIFEST_INVALID: manifest invalid no such layer type; UNKNOWN: unknown error" in errors_by_repository(ran)["app"]
    assert len(lab.destination.requests("PUT .*/manifests/1$")) == 1
