"""Redirects: followed for reads, without credentials."""

from __future__ import annotations

import json
from itertools import product

import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import image
from tests.support.logins import BASIC, PASSWORD, challenge
from tests.support.outcomes import error_of, errors_by_repository, only_plan_error
from tests.switches import Respond
from tests.switches.auth import UnlessHost


@pytest.mark.row("AUTH-01")
@pytest.mark.parametrize("where", ["other host", "other port", "other name"])
def test_redirected_read_carries_no_credentials(where, lab, declare_login):
    """To another address, another port, or another name of the same server."""
    content = lab.push("app", "1", image(1))
    with FaultProxy(lab.source_registry) as other_port:
        host = {"other host": lab.other_host.host, "other port": other_port.host, "other name": f"localhost:{lab.source.port}"}[where]
        lab.source.add(switches.headers(Set_Cookie="session=cookie-SECRET; Path=/; Domain=localhost"))
        elsewhere = switches.redirect(host)
        lab.source.add(UnlessHost("localhost", elsewhere), method="GET", target="/blobs/")
        lab.source.add(UnlessHost("localhost", switches.require_authorization(BASIC, 'Basic realm="x"')))
        declare_login()

        ran = lab.run("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        lab.assert_served("app", "1", content)
        asked = [one for proxy in (lab.other_host, other_port, lab.source) for one in proxy.recorded("^GET.*/blobs/") if one.headers["host"] == host]
        assert len(asked) == len(content.blobs)
        assert not [one for one in asked if {"authorization", "cookie"} & set(one.headers)]
        assert [one for one in lab.source.seen if one.headers.get("authorization") == BASIC], "the registry itself did get it"


@pytest.mark.row("AUTH-01", "AUTH-21")
@pytest.mark.parametrize("to", ["foreign", "own"])
def test_redirected_api_gets_no_token(to, lab, declare_login):
    """API tokens stay with their host, and cookies are never kept."""
    lab.push("app", "1", image(1))
    listing = Respond(200, json.dumps([{"path": f"{lab.name}/app"}]).encode(), headers={"Set-Cookie": "session=cookie-SECRET; Path=/"})
    there = lab.other_host if to == "foreign" else lab.source
    there.add(listing, target="^/elsewhere")
    lab.source.add(switches.redirect(there.host, target="/elsewhere"), target="/api/v4/")
    declare_login(listing="gitlab")
    lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    lab.run("plan", "-o", "json")

    asked = lab.source.recorded("/api/v4/")
    assert {one.headers["private-token"] for one in asked} == {PASSWORD}
    assert [one.headers.get("private-token") for one in there.recorded("/elsewhere")] == [None if to == "foreign" else PASSWORD]
    assert not [one for one in lab.source.seen if "cookie" in one.headers]


@pytest.mark.row("AUTH-02")
@pytest.mark.parametrize("realm", ["its own", "the registry's"])
@pytest.mark.parametrize("login", [True, False], ids=["with a login", "as nobody"])
def test_challenge_after_a_redirect_is_not_answered(login, realm, lab, declare_login):
    """No token is requested, no login is sent, and the error says who refused."""
    lab.push("app", "1", image(1))
    lab.other_host.add(challenge(f"{lab.other_host.url if realm == 'its own' else lab.source.url}/token"))
    for proxy in (lab.source, lab.other_host):
        proxy.add_first(Respond(200, {"token": "THE-SECRET"}), target="^/token")
    lab.source.add(switches.redirect(lab.other_host.host), method="GET", target="/blobs/")
    declare_login() if login else lab.declare("app")

    message = error_of(lab.run("apply", "-o", "json"))

    assert lab.other_host.requests("/blobs/")
    assert lab.source.requests("/token") + lab.other_host.requests("/token") == []
    assert not [one for one in lab.source.seen if "authorization" in one.headers], "the registry never asked"
    assert "127.0.0.2, to which the registry redirected, refused the request" in message


@pytest.mark.row("AUTH-07")
@pytest.mark.parametrize("lead", ["realm", "redirect", "Link", "API"])
def test_https_never_redirects_to_http(lead, lab, declare_login, secure):
    """Not for a token, a blob, a page or an API, even on the same host."""
    lab.push("app", "1", image(1))
    with secure(lab.source_registry) as proxy:
        down = lab.source.url
        if lead in {"realm", "API"}:
            proxy.add(challenge(f"{down}/token", service="container_registry"), target="^/v2/")
        elif lead == "redirect":
            proxy.add(switches.redirect(lab.source.host), method="GET", target="/blobs/")
        else:
            proxy.add(switches.headers(Link=f'<{down}/v2/{lab.name}/app/tags/list?last=1>; rel="next"'), target="/tags/list")
        declare_login(of=proxy, **({"listing": "gitlab"} if lead == "API" else {}))
        if lead == "API":
            lab.workplace.mirror("a", source={"registry": proxy.host, "namespaces": [lab.name]}, destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

        message = error_of(lab.run("plan" if lead == "API" else "apply", "-o", "json"))

    assert lab.source.seen == []
    assert "https" in message or "another host" in message
    assert "nothing was sent" in message or "must stay on https" in message


@pytest.mark.row("AUTH-22")
def test_redirect_with_a_login_is_not_followed(lab):
    """A login in a redirect's URL is an error."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.redirect(f"user:word-SECRET@{lab.other_host.host}"), method="GET", target="/blobs/")
    lab.declare("app", retry="{attempts: 1}")

    assert "contain no credentials" in error_of(lab.run("apply", "-o", "json"))
    assert lab.other_host.seen == []


@pytest.mark.row("DOS-10")
def test_endless_redirects_are_followed_five_times(lab):
    """Six requests, one error, for a loop and for a chain."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.redirect(lab.source.host), method="GET", target="/tags/list")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert "more than 5 redirects" in only_plan_error(ran)
    assert len(lab.source.requests("tags/list")) == 6


@pytest.mark.row("OUT-08")
@pytest.mark.parametrize("fault", ["refused", "gone", "cut"])
def test_presigned_urls_are_never_shown(fault, lab):
    """The signature is in no error, log line or document, at any level."""
    lab.push("app", "1", image((lab.name, fault)))
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    lab.workplace.mirror(
        "a", source=f"{lab.source}/{lab.name}/app", destinations=[f"{lab.destination}/m"], retry={"attempts": 2, "interval": "0s"}, referrers=False
    )
    host = "127.0.0.1:9" if fault == "gone" else lab.other_host.host
    lab.source.add(switches.redirect(host, target="/bucket/key?X-Amz-Signature=signature-OPAQUE&X-Amz-Credential=key-OPAQUE"), method="GET", target="/blobs/")
    said = "<Error><Message>bad signature signature-OPAQUE of /bucket/key?X-Amz-Signature=signature-OPAQUE</Message></Error>"
    switch = {"refused": switches.Respond(403, said, headers={"Content-Type": "application/xml"}), "cut": switches.reset()}
    if fault in switch:
        lab.other_host.add(switch[fault])

    ran = lab.run("apply", "-o", "json", "--log-level", "debug")

    assert ran.code == 1
    assert not [word for word in ("X-Amz", "OPAQUE") if word in ran.stdout + ran.stderr]
    assert f"{lab.source}/{lab.name}/app" in ran.json["outcomes"][0]["error"]


@pytest.mark.row("REG-13")
def test_redirected_write_is_never_followed(lab):
    """On each route an error; nothing is sent there."""
    routes = {"begin": ("POST", "/blobs/uploads/"), "upload": ("PUT", "/blobs/uploads/"), "put": ("PUT", "/manifests/")}
    cases = [("put", code) for code in (301, 302, 303, 307, 308)] + list(product(("begin", "upload"), (302, 307)))
    for route, code in cases:
        lab.push(f"{route}{code}", "1", image((route, code), layers=1))
        method, target = routes[route]
        lab.destination.add(switches.redirect(lab.other_host.host, code=code), method=method, target=f"{lab.name}/{route}{code}{target}")
    lab.declare([f"{route}{code}" for route, code in cases], "referrers: false\nconcurrency: {blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert set(errors) == {f"{route}{code}" for route, code in cases}
    assert all("the registry redirects a write; only redirects of reads are followed" in error for error in errors.values())
    assert lab.other_host.seen == []
    for route, code in cases:
        assert lab.served_tags(f"{route}{code}") == []
