"""Redirects: followed for reads, without credentials."""

from __future__ import annotations

import json
from itertools import product

import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import image, push
from tests.support.logins import BASIC, PASSWORD, challenge
from tests.support.outcomes import error_of, errors_by_repository, only_plan_error
from tests.support.witness import assert_served
from tests.switches import Respond
from tests.switches.auth import UnlessHost


@pytest.mark.row("AUTH-01")
@pytest.mark.parametrize("where", ["other host", "other port", "other name"])
def test_redirected_read_takes_nothing_along(where, registry, second_registry, name, declare_login, imgsync, source, foreign):
    """Whoever the registry sends us to learns nothing of us: another address, another port of the same, or another name of the very same server."""
    content = push(registry, f"{name}/app", "1", image(1))
    with FaultProxy(registry) as other_port:
        host = {"other host": foreign.host, "other port": other_port.host, "other name": f"localhost:{source.port}"}[where]
        source.add(switches.headers(Set_Cookie="session=cookie-SECRET; Path=/; Domain=localhost"))
        elsewhere = switches.redirect(host)
        source.add(UnlessHost("localhost", elsewhere), method="GET", target="/blobs/")
        source.add(UnlessHost("localhost", switches.require_authorization(BASIC, 'Basic realm="x"')))
        declare_login()

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        assert_served(second_registry, f"m/{name}/app", "1", content)
        asked = [one for proxy in (foreign, other_port, source) for one in proxy.recorded("^GET.*/blobs/") if one.headers["host"] == host]
        assert len(asked) == len(content.blobs)
        assert not [one for one in asked if {"authorization", "cookie"} & set(one.headers)]
        assert [one for one in source.seen if one.headers.get("authorization") == BASIC], "the registry itself did get it"


@pytest.mark.row("AUTH-01", "AUTH-21")
@pytest.mark.parametrize("to", ["foreign", "own"])
def test_redirected_api_gets_no_token(to, registry, name, declare_login, imgsync, source, foreign, workplace):
    """A header of an API's own (GitLab's PRIVATE-TOKEN) stays with the host it is for, and no cookie is kept even there."""
    push(registry, f"{name}/app", "1", image(1))
    listing = Respond(200, json.dumps([{"path": f"{name}/app"}]).encode(), headers={"Set-Cookie": "session=cookie-SECRET; Path=/"})
    there = foreign if to == "foreign" else source
    there.add(listing, target="^/elsewhere")
    source.add(switches.redirect(there.host, target="/elsewhere"), target="/api/v4/")
    declare_login(listing="gitlab")
    workplace.mirror("a", source={"registry": source.host, "namespaces": [name]}, destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    imgsync("plan", "-o", "json")

    asked = source.recorded("/api/v4/")
    assert {one.headers["private-token"] for one in asked} == {PASSWORD}
    assert [one.headers.get("private-token") for one in there.recorded("/elsewhere")] == [None if to == "foreign" else PASSWORD]
    assert not [one for one in source.seen if "cookie" in one.headers]


@pytest.mark.row("AUTH-02")
@pytest.mark.parametrize("realm", ["its own", "the registry's"])
@pytest.mark.parametrize("login", [True, False], ids=["with a login", "as nobody"])
def test_challenge_of_whom_we_were_sent_to_is_not_answered(login, realm, registry, name, declare, declare_login, imgsync, source, foreign):
    """A host that we were redirected to may not ask who we are: no token is asked for, no login is sent, and the error says who refused."""
    push(registry, f"{name}/app", "1", image(1))
    foreign.add(challenge(f"{foreign.url if realm == 'its own' else source.url}/token"))
    for proxy in (source, foreign):
        proxy.add_first(Respond(200, {"token": "THE-SECRET"}), target="^/token")
    source.add(switches.redirect(foreign.host), method="GET", target="/blobs/")
    declare_login() if login else declare(f"[{name}/app]")

    message = error_of(imgsync("apply", "-o", "json"))

    assert foreign.requests("/blobs/")
    assert source.requests("/token") + foreign.requests("/token") == []
    assert not [one for one in source.seen if "authorization" in one.headers], "the registry never asked"
    assert "127.0.0.2, to which the registry redirected, refused the request" in message


@pytest.mark.row("AUTH-07")
@pytest.mark.parametrize("lead", ["realm", "redirect", "Link", "API"])
def test_nothing_goes_from_https_down_to_http(lead, registry, name, declare_login, imgsync, secure, source, workplace):
    """A registry over TLS that leads us to plain http, be it on its own host, is not followed: not for a token, a blob, a page or its API."""
    push(registry, f"{name}/app", "1", image(1))
    with secure(registry) as proxy:
        down = source.url
        if lead in {"realm", "API"}:
            proxy.add(challenge(f"{down}/token", service="container_registry"), target="^/v2/")
        elif lead == "redirect":
            proxy.add(switches.redirect(source.host), method="GET", target="/blobs/")
        else:
            proxy.add(switches.headers(Link=f'<{down}/v2/{name}/app/tags/list?last=1>; rel="next"'), target="/tags/list")
        declare_login(of=proxy, **({"listing": "gitlab"} if lead == "API" else {}))
        if lead == "API":
            workplace.mirror("a", source={"registry": proxy.host, "namespaces": [name]}, destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

        message = error_of(imgsync("plan" if lead == "API" else "apply", "-o", "json"))

    assert source.seen == []
    assert "https" in message or "another host" in message
    assert "nothing was sent" in message or "must stay on https" in message


@pytest.mark.row("AUTH-22")
def test_redirect_with_a_login_in_it_is_not_followed(registry, name, declare, imgsync, source, foreign):
    """Nobody tells us who to be."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.redirect(f"user:word-SECRET@{foreign.host}"), method="GET", target="/blobs/")
    declare(f"[{name}/app]", retry="{attempts: 1}")

    assert "contain no credentials" in error_of(imgsync("apply", "-o", "json"))
    assert foreign.seen == []


@pytest.mark.row("DOS-10")
def test_redirects_without_an_end_are_followed_five_times(registry, name, declare, imgsync, source):
    """A circle and a chain alike: six requests, one error."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.redirect(source.host), method="GET", target="/tags/list")
    declare(f"[{name}/app]")

    ran = imgsync("plan", "-o", "json")

    assert "more than 5 redirects" in only_plan_error(ran)
    assert len(source.requests("tags/list")) == 6


@pytest.mark.row("OUT-08")
@pytest.mark.parametrize("fault", ["refused", "gone", "cut"])
def test_presigned_addresses_are_never_told(fault, registry, name, workplace, imgsync, source, destination, foreign):
    """The signature in a redirect's address is in no error, log line or document, however reading from it fails, at the most talkative level."""
    push(registry, f"{name}/app", "1", image((name, fault)))
    workplace.trust_plain(source, destination)
    workplace.mirror("a", source=f"{source}/{name}/app", destinations=[f"{destination}/m"], retry={"attempts": 2, "interval": "0s"}, referrers=False)
    host = "127.0.0.1:9" if fault == "gone" else foreign.host
    source.add(switches.redirect(host, target="/bucket/key?X-Amz-Signature=signature-OPAQUE&X-Amz-Credential=key-OPAQUE"), method="GET", target="/blobs/")
    said = "<Error><Message>bad signature signature-OPAQUE of /bucket/key?X-Amz-Signature=signature-OPAQUE</Message></Error>"
    switch = {"refused": switches.Respond(403, said, headers={"Content-Type": "application/xml"}), "cut": switches.reset()}
    if fault in switch:
        foreign.add(switch[fault])

    ran = imgsync("apply", "-o", "json", "--log-level", "debug")

    assert ran.code == 1
    assert not [word for word in ("X-Amz", "OPAQUE") if word in ran.stdout + ran.stderr]
    assert f"{source}/{name}/app" in ran.json["outcomes"][0]["error"]


@pytest.mark.row("REG-13")
def test_redirected_write_is_never_followed(registry, second_registry, name, declare, imgsync, destination, foreign):
    """Five ways to send a write elsewhere, on each route: an error of its image, nothing is sent there, and nothing looks like success."""
    routes = {"begin": ("POST", "/blobs/uploads/"), "upload": ("PUT", "/blobs/uploads/"), "put": ("PUT", "/manifests/")}
    cases = [("put", code) for code in (301, 302, 303, 307, 308)] + list(product(("begin", "upload"), (302, 307)))
    for route, code in cases:
        push(registry, f"{name}/{route}{code}", "1", image((route, code), layers=1))
        method, target = routes[route]
        destination.add(switches.redirect(foreign.host, code=code), method=method, target=f"{name}/{route}{code}{target}")
    declare(f"[{', '.join(f'{name}/{route}{code}' for route, code in cases)}]", "referrers: false\nconcurrency: {blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    errors = errors_by_repository(ran)
    assert set(errors) == {f"{route}{code}" for route, code in cases}
    assert all("the registry redirects a write; only redirects of reads are followed" in error for error in errors.values())
    assert foreign.seen == []
    for route, code in cases:
        assert second_registry.tags(f"m/{name}/{route}{code}") == []
