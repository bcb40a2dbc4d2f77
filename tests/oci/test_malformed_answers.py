"""Malformed URLs and answers fail their own image with one error."""

from __future__ import annotations

import re

import pytest

from tests import switches
from tests.support.images import image, pull_raw, push
from tests.switches import Respond

_URLS = [
    "http://[",
    "http://[::1/x",
    "http://[v1.x]/",
    "http://exa mple/",
    "//",
    "http://",
    "http:///x",
    "http://a:99999/",
    "http://a:-1/",
    "http://a:port/",
    "http://a..b/",
    "http://.../",
    f"http://{'a' * 300}/",
    f"http://{'a' * 70}.example/",
    "http://xn--a/",
    "http://%00/",
    "http://\u00ffx/",
    "http://\u00b2/",
    "http://\u00bd.example/",
    "http://a@b:c@d/",
    "http://127.0.0.1:0/",
    "\u00ff://x",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "javascript:x",
    "?",
    "#",
    "..",
]


@pytest.fixture(scope="module")
def victims(registry) -> list[str]:
    """Push repositories of one image each; the first one is never attacked."""
    names = [f"runtime/r{number:02}" for number in range(30)]
    for repository in names:
        push(registry, repository, "1", image(repository, layers=1))
    return names


@pytest.fixture
def mirrored(victims, lab):
    """Apply a mirror of the first victims; return errors and copies."""

    def apply(count: int, **settings: object) -> dict[str, str]:
        lab.workplace.allow_plain_http(lab.source, lab.destination)
        declared = {"registry": lab.source.host, "repositories": victims[:count]}
        settings = {"retry": {"attempts": 1, "interval": "0s"}, "concurrency": {"images": 8}, "referrers": False} | settings
        lab.workplace.mirror("a", source=declared, destinations=[f"{lab.destination}/{lab.name}"], **settings)
        ran = lab.run("apply", "-o", "json")
        assert ran.code == 1, ran.stderr
        assert ran.events("apply.finished"), "no run ends for it"
        told = [(one["source"], one["error"]) for one in ran.json["outcomes"] if one["error"]]
        told += [(one["reference"], one["message"]) for one in ran.json["errors"]]
        errors = {re.search("runtime/r[0-9]{2}", reference).group(): message for reference, message in told}
        assert len(errors) == len(told), "one error for each"
        assert all(len(message) < 700 and message.isprintable() for message in errors.values())
        return errors

    return apply


@pytest.mark.row("RUN-07")
@pytest.mark.parametrize("where", ["redirect", "page", "upload", "realm"])
def test_invalid_url_fails_one_image(where, lab, victims, mirrored):
    """In a redirect, a next page, an upload session or a token server."""
    for repository, url in zip(victims[1:], _URLS, strict=False):
        target = f"/{repository}/"
        if where == "redirect":
            lab.source.add(Respond(307, headers={"Location": url}), method="GET", target=f"{target}manifests")
        elif where == "page":
            lab.source.add(switches.headers(Link=f'<{url}>; rel="next"'), target=f"{target}tags/list")
        elif where == "upload":
            lab.destination.add(switches.headers(Location=url), method="POST", target=target)
        else:
            lab.source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{url}",service="x"'}), target=target)

    errors = mirrored(len(_URLS) + 1)

    assert len(errors) >= len(_URLS) - 2
    if where != "realm":
        # Whose token server is nonsense has none for its other repositories either.
        assert victims[0] not in errors
        assert pull_raw(lab.destination, f"{lab.name}/{victims[0]}", "1") == pull_raw(lab.source_registry, victims[0], "1")


_ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\na",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 99999 OK\r\n\r\n",
    b"HTTP/1.1 000 \r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nx",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
    b"HTTP/1.1 200 OK\r\nName\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: value\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nDocker-Content-Digest: \xff\xfe\r\nContent-Type: \xff\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"[" * 200_000,
    b"HTTP/1.1 307 Temporary Redirect\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: \xff\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: \xb2\xb2\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: Mon, 99 Foo 0000 99:99:99 -9999\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nRateLimit-Remaining: \xb2;w=\xb2\r\nContent-Length: 2\r\n\r\n{}",
    b"\x16\x03\x01\x02\x00",
    b"\r\n\r\n",
    b"",
]


# Handled by the very code that handles the others: enough for the night.
_AS_OTHERS = ("manifests/1", "POST blobs/uploads")


@pytest.mark.row("RUN-07")
@pytest.mark.parametrize(
    "where",
    ["tags/list", "blobs/sha256", "PUT blobs/uploads", "PUT manifests/1", *(pytest.param(one, marks=pytest.mark.only_nightly) for one in _AS_OTHERS)],
)
def test_malformed_response_fails_one_image(where, lab, victims, mirrored):
    """Malformed heads and bodies at each kind of request."""
    method, _, part = where.rpartition(" ")
    for repository, answer in zip(victims[1:], _ANSWERS, strict=False):
        proxy = lab.destination if method else lab.source
        proxy.add(switches.Raw(answer), method=method or "GET|HEAD", target=f"/{repository}/{part}")

    errors = mirrored(len(_ANSWERS) + 1, tags={} if part == "tags/list" else {"names": ["1"]}, timeouts={"request": "10s"})

    assert len(errors) >= len(_ANSWERS) - 6
    assert victims[0] not in errors
    assert pull_raw(lab.destination, f"{lab.name}/{victims[0]}", "1") == pull_raw(lab.source_registry, victims[0], "1")
