"""Errors of registries, as they are read and shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync import errors
from imgsync.oci.errors import Operation, make_status_error
from imgsync.oci.http import errors as http_errors
from imgsync.oci.limits.retry import is_transient
from imgsync.oci.responses import translate_error
from imgsync.text.sanitize import sanitize_message
from tests import switches
from tests.support.images import image
from tests.support.outcomes import errors_by_repository
from tests.switches import Respond
from tests.switches.net import (
    endless_error,
)

MEBIBYTE = 1 << 20


@pytest.mark.row("REG-19")
def test_registry_policy_is_quoted_and_not_retried(lab):
    """A blocked image or a read-only registry: its own words, one attempt, others continue."""
    words = {
        "blocked": Respond(412, {"errors": [{"code": "PROJECTPOLICYVIOLATION", "message": "current image with \x1b[31m3 vulnerabilities cannot be pulled"}]}),
        "frozen": Respond(403, {"errors": [{"code": "DENIED", "message": "The system is in read only mode.\r\nAny modification is prohibited."}]}),
    }
    for path, switch in words.items():
        lab.push(path, "1", image(path))
        lab.destination.add(switch, method="PUT", target=f"{lab.name}/{path}/manifests/1$")
    good = lab.push("good", "1", image("good"))
    lab.declare("blocked frozen good", "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert "412 PROJECTPOLICYVIOLATION: current image with \\x1b[31m3 vulnerabilities cannot be pulled" in errors["blocked"]
    assert "403 DENIED: The system is in read only mode. Any modification is prohibited." in errors["frozen"]
    assert [len(lab.destination.requests(f"PUT .*{lab.name}/{path}/manifests/")) for path in words] == [1, 1]
    assert "\x1b" not in ran.stdout + ran.stderr
    lab.assert_served("good", "1", good)


BODIES = [
    b"",
    b"<html>\x1b[31m<h1>413</h1>",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'{"errors": null}',
    b'{"errors": []}',
    b'{"errors": [null]}',
    b'{"errors": {"code": "X"}}',
    b'{"errors": [{"code": null, "message": 7, "detail": [[[{}]]]}]}',
    b'{"errors": [{"code": {"a": 1}, "message": {"b": "\\ud800"}}]}',
    b'{"errors": [{"code": "manifest_blob_unknown", "message": "\\u202e\\u0000x"}]}',
    b"[" * 100_000,
    b"\xff\xfe\x00" * 1000,
]


@pytest.mark.row("REG-20")
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_any_error_body_gives_one_short_line(body):
    """Printable, on one line, with the code in capitals."""
    for status in (100, 204, 302, 400, 401, 403, 404, 405, 409, 412, 413, 416, 418, 429, 451, 500, 503, 507, 599, 999):
        error = make_status_error(Operation("push", "r/x:1", "destination"), status, headers={"retry-after": "\xff"}, body=body)
        assert str(error).isprintable()
        assert len(str(error)) < 4500
        assert str(status) in str(error)
        assert error.code == error.code.upper()


@pytest.mark.row("REG-20")
def test_endless_error_body_is_read_to_its_limit(lab):
    """64 KiB are read."""
    lab.push("app", "1", image(1))
    lab.source.add(endless_error(404), target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "404 xxx" in ran.json["errors"][0]["message"]
    assert len(ran.json["errors"][0]["message"]) < 1000
    assert sum(one.bytes_down for one in lab.source.seen) < 16 * MEBIBYTE


@pytest.mark.row("NET-16")
def test_html_page_is_an_error_on_every_route(lab):
    """A captive portal's 200 is neither success nor retried forever."""
    routes = {
        "tags": (lab.source, "GET", "/tags/list", "is this a registry?"),
        "manifest": (lab.source, "GET", "/manifests/", "the manifest is not valid JSON"),
        "blob": (lab.source, "GET", "/blobs/", "the body ended at byte 37 of"),
        "begin": (lab.destination, "POST", "/blobs/uploads/", "begin upload of blob"),
        "upload": (lab.destination, "PUT", "/blobs/uploads/", "push blob"),
        "put": (lab.destination, "PUT", "/manifests/", "the response does not confirm the push, and the manifest is missing"),
    }
    for path, (proxy, method, target, _) in routes.items():
        lab.push(path, "1", image(path, layers=1))
        proxy.add(switches.html(), method=method, target=f"{lab.name}/{path}{target}")
    lab.declare(routes, "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["copied"] == 0, ran.stdout
    errors = errors_by_repository(ran)
    assert set(errors) == set(routes)
    for path, (proxy, method, target, says) in routes.items():
        assert says in errors[path]
        assert "<" not in errors[path]
        # Two attempts, and two more where a slow machine makes the source look so far away that blobs are read ahead.
        assert len(proxy.requests(f"^{method} .*{lab.name}/{path}{target}")) <= 4, path
        assert lab.served_tags(path) == []


@given(st.text())
def test_untrusted_text_is_one_printable_line(text):
    """No control characters, at most some hundred characters."""
    shown = sanitize_message(text)

    assert shown.isprintable()
    assert len(shown) <= 3000


@pytest.mark.parametrize(
    ("error", "kind", "detail", "hint"),
    [
        (
            http_errors.UnknownHostError("there is no host r.exmaple (Name or service not known)"),
            errors.UnknownHostError,
            "cannot connect: there is no host r.exmaple (Name or service not known)",
            "check the spelling of the host, and the name server of this machine",
        ),
        (
            http_errors.UnknownProxyError("proxy.exmaple:3128: there is no host proxy.exmaple (Name or service not known)"),
            errors.UnknownHostError,
            "no way through the proxy proxy.exmaple:3128: there is no host proxy.exmaple (Name or service not known)",
            "check `proxy` in registries.yaml",
        ),
        (
            http_errors.RefusedError("nothing listens at 127.0.0.1:5000 (Connection refused)"),
            errors.UnreachableError,
            "cannot connect: nothing listens at 127.0.0.1:5000 (Connection refused)",
            "check that the registry runs, and its port",
        ),
        (
            http_errors.HandshakeError("127.0.0.1:5000: [SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "127.0.0.1:5000"),
            errors.InsecureError,
            "the registry does not speak TLS",
            "if it uses plain http, set `tls: false` in registries.yaml: `registries: {127.0.0.1:5000: {tls: false}}`",
        ),
        (
            http_errors.HandshakeError("r.io:443: Connection reset by peer", "r.io"),
            errors.UnreachableError,
            "cannot connect: no TLS connection to r.io:443: Connection reset by peer",
            "if it uses plain http, set `tls: false` in registries.yaml: `registries: {r.io: {tls: false}}`",
        ),
        (
            http_errors.HandshakeError("r.io:443: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1)", "r.io"),
            errors.InsecureError,
            "the registry's TLS certificate is not trusted: r.io:443: certificate verify failed: certificate has expired",
            "set its CA in registries.yaml, for exactly this host: `registries: {r.io: {tls: {ca: FILE}}}`",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_failed_connection_says_what_to_do(error, kind, detail, hint):
    """Only a host that does not exist is final; what is wrong with TLS is too."""
    found = translate_error(Operation("list tags of", "r.io/app", "source"), error)

    assert (type(found), found.detail, found.hint) == (kind, detail, hint)
    assert is_transient(found) == (kind is errors.UnreachableError)


@pytest.mark.parametrize(
    "body",
    [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body></body></html>",
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    ],
)
def test_plain_http_to_tls_says_what_to_remove(body):
    """As Go's server, nginx and Apache answer."""
    found = make_status_error(Operation("list tags of", "r.io/app", "source"), 400, headers={}, body=body.encode())

    assert found.hint == "the registry uses TLS; remove `tls: false` of this registry from registries.yaml"
