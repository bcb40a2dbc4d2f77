"""TLS settings are for the host that registries.yaml names."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest
import trustme

from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.support.listener import Listener
from tests.switches import Respond

Tls = dict[str, object]


def _leads_by_redirect(other: FaultProxy, source: FaultProxy) -> None:
    source.add(Respond(307, headers={"Location": f"{other.url}/elsewhere"}), target="/blobs/")


def _leads_by_token(other: FaultProxy, source: FaultProxy) -> None:
    source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{other.url}/elsewhere",service="x"'}), target="/manifests/")


@pytest.fixture
def leading(lab, authority: trustme.CA, secure):
    """Return a function that declares a TLS registry which leads to another host."""
    lab.push("app", "1", image((lab.name, 1)))
    ca, identity = lab.folder / "ca.pem", lab.folder / "identity.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("push-identity").private_key_and_cert_chain_pem.write_to_path(str(identity))

    def declare(
        lead: Callable[..., None], tls: dict[str, object], other_tls: dict[str, object] | None = None, *, more: dict[str, object] | None = None
    ) -> FaultProxy:
        source, other = secure(lab.source_registry), secure(None)
        lead(other, source)
        paths = {"ca": str(ca), "cert": str(identity), "key": str(identity)}
        entries = {source.host: tls, other.host: other_tls} | (more or {})
        settings = {host: {"tls": {name: paths.get(name, value) for name, value in one.items()}} for host, one in entries.items() if one is not None}
        lab.workplace.registries_file(json.dumps({"version": 1, "registries": settings | {lab.destination.host: {"tls": False}}}))
        lab.workplace.mirror("a", source=f"{source}/{lab.name}/app", destinations=[f"{lab.destination}/m"], retry={"attempts": 1})
        return other

    return declare


@pytest.mark.row("AUTH-01")
@pytest.mark.parametrize("lead", [_leads_by_redirect, _leads_by_token])
@pytest.mark.parametrize("tls", [{"verify": False}, {"ca": True}, {"ca": True, "cert": True, "key": True}], ids=["verify: false", "ca", "certificate"])
def test_other_hosts_are_verified_as_any_other(lead, tls, lab, leading):
    """Neither `verify: false`, a CA nor a client certificate holds where a registry leads."""
    other = leading(lead, tls)

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert other.seen == []
    assert "certificate is not trusted" in ran.stdout
    assert other.host in ran.stdout


@pytest.mark.row("AUTH-01")
@pytest.mark.parametrize("lead", [_leads_by_redirect, _leads_by_token])
def test_other_hosts_have_their_own_settings(lead, lab, leading):
    """A storage host or token server with a CA of its own has an entry of its own."""
    other = leading(lead, {"ca": True}, {"ca": True})

    lab.run("apply", "-o", "json")

    assert [one.path for one in other.seen if one.path.startswith("/elsewhere")]


class Asking(Listener):
    """Asks its clients for a certificate, and hangs up; `shown` says who had one."""

    def __init__(self, authority: trustme.CA) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        authority.configure_trust(self._context)
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self.url = f"https://{self.host}"
        self.shown: list[bool] = []

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), self._context.wrap_socket(sock, server_side=True) as encrypted:
            encrypted.recv(1)
            self.shown.append(bool(encrypted.getpeercert()))


@pytest.mark.row("AUTH-01")
@pytest.mark.parametrize("lead", [_leads_by_redirect, _leads_by_token])
def test_client_certificate_is_shown_to_its_own_host(lead, lab, leading, authority):
    """Not where a registry leads, even if that host has an entry with one."""
    own = {"ca": True, "cert": True, "key": True}
    with Asking(authority) as other, Asking(authority) as registry:
        leading(lambda _, source: lead(other, source), own, None, more={other.host: own, registry.host: own})
        retry = {"attempts": 1}
        lab.workplace.mirror("b", source=f"{registry.host}/a/b", tags={"names": ["1"]}, destinations=[f"{lab.destination}/m"], retry=retry)
        lab.run("apply", "-o", "json")

    assert set(other.shown) == {False}
    assert set(registry.shown) == {True}
