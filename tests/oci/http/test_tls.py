"""TLS: certificates, and no fallback to plain http."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest
import trustme

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.support.outcomes import error_of
from tests.support.tunnel import Tunnel


@pytest.mark.row("AUTH-25")
@pytest.mark.parametrize("proxied", [False, True], ids=["straight", "through a proxy"])
def test_sslkeylogfile_is_ignored(proxied, lab, declare_login, secure):
    """TLS keys are not written, and a warning says so."""
    lab.push("app", "1", image(1))
    with secure(lab.source_registry) as proxy, Tunnel() as tunnel:
        declare_login(of=proxy, **({"proxy": tunnel.url} if proxied else {}))

        ran = lab.run("plan", env={"SSLKEYLOGFILE": str(lab.folder / "keys")})

        assert ran.code in {0, 1}
        assert proxy.requests("tags/list")
        assert bool(tunnel.asked) == proxied
    assert not (lab.folder / "keys").exists()
    assert ran.events("keylog.ignored")


@pytest.mark.row("AUTH-26")
@pytest.mark.parametrize("answers", ["plain http", "nothing", "TLS that is not trusted"])
def test_tls_never_falls_back_to_plain_http(answers, lab, secure):
    """A registry without working TLS gets no request."""
    lab.push("app", "1", image(1))
    other = secure(lab.source_registry)
    host = {"plain http": lab.source_registry.host, "nothing": "127.0.0.1:1", "TLS that is not trusted": other.host}[answers]
    mark = lab.source_registry.mark()
    lab.workplace.mirror("a", source=f"{host}/{lab.name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 2, "interval": "0s"})

    message = error_of(lab.run("plan", "-o", "json"))

    assert {"plain http": "tls: false", "nothing": "cannot connect", "TLS that is not trusted": "certificate"}[answers] in message
    assert lab.source_registry.requests(mark) == ()
    assert other.seen == []


@pytest.mark.row("NET-16")
def test_certificate_that_expires_during_a_run(lab, authority):
    """New connections fail with the reason; no tag shows half an image."""
    for number in range(2):
        lab.push("app", str(number), image((lab.name, number), layers=1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(lab.folder / "ca.pem"))
    with FaultProxy(lab.source_registry, tls=context) as source:
        # A connection that was shaken hands on before stays good: each request needs one of its own.
        source.add(switches.headers(Connection="close"))
        source.add(Expiring(authority, context), target="/blobs/", times=1)
        lab.write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - {{name: a, source: {source}/{lab.name}/app, destinations: ['{lab.destination}/m'], "
            "concurrency: {images: 1, blobs: 1, queries: 1}, referrers: false, retry: {attempts: 3, interval: 0s}}\n",
        )
        lab.write("registries.yaml", f"version: 1\nregistries:\n  {source}: {{tls: {{ca: ca.pem}}}}\n  {lab.destination}: {{tls: false}}\n")

        ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 0, "failed": 2}
    for outcome in ran.json["outcomes"]:
        assert "the registry's TLS certificate is not trusted" in outcome["error"]
        assert "expired" in outcome["error"]
    assert ran.events("request.retried") == []
    assert lab.served_tags("app") == []


class Expiring(switches.Switch):
    """From one response on, shows yesterday's certificate to new connections."""

    def __init__(self, authority: trustme.CA, context: ssl.SSLContext) -> None:
        self._authority = authority
        self._context = context

    def answer(self, request, answer):
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        self._authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(self._context)
        return answer
