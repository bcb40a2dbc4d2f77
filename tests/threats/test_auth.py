"""Credentials, redirects and addresses: who gets to know who we are, and where a hostile registry can lead us. Rows AUTH of docs/threat-model.md."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import trustme

from tests import switches
from tests.faults import FaultProxy
from tests.images import image, push
from tests.registry_process import RegistryProcess
from tests.run_imgsync import Result, Workplace
from tests.switches import Respond
from tests.witness import assert_served

USER, PASSWORD = "me", "pass-SECRET"
BASIC = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
CREDENTIALS = {"username": USER, "password": PASSWORD}
WANTS_LOGIN = Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

Secure = Callable[..., FaultProxy]


def challenge(realm: str, *, service: str = "registry") -> Respond:
    """Answer that a token is wanted, of the server *realm*."""
    return Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="{service}"'})


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Secure]:
    """Put a proxy that speaks TLS before a registry; its certificate is of `authority`."""
    with ExitStack() as ends:

        def before(registry: RegistryProcess | None) -> FaultProxy:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            return ends.enter_context(FaultProxy(registry, tls=context))

        yield before


@pytest.fixture
def declare_login(workplace: Workplace, name: str, source: FaultProxy, destination: FaultProxy, authority: trustme.CA) -> Callable[..., None]:
    """Declare a mirror of NAME/app, a login for its source (or its destination), and TLS where a proxy speaks it."""
    ca = workplace.folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))

    def declare(*, of: FaultProxy | None = None, to: FaultProxy | None = None, at: str = "source", attempts: int = 1, **settings: object) -> None:
        ends = {"source": of or source, "destination": to or destination}
        trusted = {end.host: {"tls": {"ca": str(ca)} if end.url.startswith("https:") else False} for end in ends.values()}
        trusted[ends[at].host] |= {"credentials": CREDENTIALS, **settings}
        workplace.registries_file(json.dumps({"version": 1, "registries": trusted}))
        retry = {"attempts": attempts, "interval": "0s"}
        workplace.mirror("a", source=f"{ends['source']}/{name}/app", destinations=[f"{ends['destination']}/m"], retry=retry)

    return declare


def error_of(ran: Result) -> str:
    """Return the one error of a plan or an apply, which ended as failures do."""
    assert ran.code == 1, ran.stderr
    errors = [one["message"] for one in ran.json["errors"]] + [one["error"] for one in ran.json.get("outcomes", []) if one["error"]]
    assert len(errors) == 1, errors
    return str(errors[0])


@pytest.mark.row("AUTH-01")
@pytest.mark.parametrize("where", ["other host", "other port", "other name"])
def test_redirected_read_takes_nothing_along(where, registry, second_registry, name, declare_login, imgsync, source, foreign):
    """Whoever the registry sends us to learns nothing of us: another address, another port of the same, or another name of the very same server."""
    content = push(registry, f"{name}/app", "1", image(1))
    with FaultProxy(registry) as other_port:
        host = {"other host": foreign.host, "other port": other_port.host, "other name": f"localhost:{source.port}"}[where]
        source.add(switches.headers(Set_Cookie="session=cookie-SECRET; Path=/; Domain=localhost"))
        elsewhere = switches.redirect(host)
        source.add(_Unless("localhost", elsewhere), method="GET", target="/blobs/")
        source.add(_Unless("localhost", switches.require_authorization(BASIC, 'Basic realm="x"')))
        declare_login()

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        assert_served(second_registry, f"m/{name}/app", "1", content)
        asked = [one for proxy in (foreign, other_port, source) for one in proxy.recorded("^GET.*/blobs/") if one.headers["host"] == host]
        assert len(asked) == len(content.blobs)
        assert not [one for one in asked if {"authorization", "cookie"} & set(one.headers)]
        assert [one for one in source.seen if one.headers.get("authorization") == BASIC], "the registry itself did get it"


class _Unless(switches.Switch):
    """Apply another switch but to requests whose Host is of a name."""

    def __init__(self, name: str, switch: switches.Switch) -> None:
        self._name = name
        self._switch = switch

    def request(self, request):
        return request if self._name in (request.header("host") or "") else self._switch.request(request)


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
def test_challenge_of_whom_we_were_sent_to_is_not_answered(registry, name, declare_login, imgsync, source, foreign):
    """A host that we were redirected to may not ask who we are: no token is asked for, nothing is sent again, and the error says who refused."""
    push(registry, f"{name}/app", "1", image(1))
    foreign.add(challenge(f"{foreign.url}/token"))
    source.add(switches.redirect(foreign.host), method="GET", target="/blobs/")
    declare_login()

    message = error_of(imgsync("apply", "-o", "json"))

    assert {one.path.split("/")[1] for one in foreign.seen} == {"v2"}, "no token was asked for"
    assert not [one for one in source.seen if "authorization" in one.headers], "the registry never asked"
    assert "127.0.0.2" in message
    assert "refused; check username" not in message


@pytest.mark.row("AUTH-03", "AUTH-17")
@pytest.mark.parametrize("kind", ["password", "identity token", "docker's file"])
def test_foreign_token_server_gets_nothing(kind, registry, name, declare_login, imgsync, source, foreign, write):
    """A realm on another host is not even asked, whatever we hold; the error names it, and the setting that would trust it."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(challenge(f"{foreign.url}/token"), target="^/v2/")
    declare_login()
    if kind != "password":
        auth = {"auth": base64.b64encode(f"{USER}:".encode()).decode(), "identitytoken": "identity-SECRET"} if kind == "identity token" else {"auth": BASIC[6:]}
        write("docker/config.json", json.dumps({"auths": {source.host: auth}}))
        write("registries.yaml", f"version: 1\nregistries: {{'{source.host}': {{tls: false}}, '127.0.0.1:1': {{tls: false}}}}\n")

    message = error_of(imgsync("plan", "-o", "json"))

    assert foreign.seen == []
    assert "127.0.0.2, which is neither its own host nor its site" in message
    assert f"token_server: {foreign.url}" in message


@pytest.mark.row("AUTH-04")
@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://2852039166/token",
        "http://[::ffff:169.254.169.254]/token",
        "http://[fd00:ec2::254]/token",
        "http://me:word@127.0.0.1:1/token",
        "http://127.0.0.1:1/token#part",
        "http://127.0.0.1:1/token#",
        "file:///etc/passwd",
        "//127.0.0.1/token",
        "token",
        "http://[::1/token",
        "http://127.0.0.1:99999/token",
        "http://127.0.0.1:port/token",
        "http://\\u2100.example/token",
        "http:///token",
        "http://127.0.0.1\\\\@127.0.0.2/token",
    ],
)
def test_realm_that_no_token_server_has_is_refused(realm, registry, name, declare, imgsync, source):
    """The metadata service in any spelling, a login or a fragment, no http, no URL at all: one error at once, and nothing is dialled."""
    push(registry, f"{name}/app", "1", image(1))
    header = f'Bearer realm="{realm}",service="x"'.encode().decode("unicode_escape").encode()
    source.add(
        switches.Raw(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\nWWW-Authenticate: " + header + b"\r\n\r\n"), target="^/v2/"
    )
    declare(f"[{name}/app]", retry="{attempts: 1}")

    ran = imgsync("plan", "-o", "json")

    message = error_of(ran)
    assert "nothing was sent" in message, message


@pytest.mark.row("AUTH-06")
@pytest.mark.parametrize("login", [True, False], ids=["with a login", "as nobody"])
def test_token_server_that_redirects_is_not_followed(login, registry, name, declare_login, declare, imgsync, source, foreign):
    """What another host answers is no token: one request, one error, whoever we are."""
    push(registry, f"{name}/app", "1", image(1))
    foreign.add(Respond(200, {"token": "theirs"}))
    source.add(switches.redirect(foreign.host, code=302), target="^/token")
    source.add(challenge(f"{source.url}/token"), target="^/v2/")
    declare_login() if login else declare(f"[{name}/app]")

    message = error_of(imgsync("plan", "-o", "json"))

    assert foreign.seen == []
    assert len(source.requests("/token")) == 1
    assert f"get a token for {source.host}/{name}/app" in message
    assert "127.0.0.1 answered 302" in message


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


@pytest.mark.row("AUTH-08")
@pytest.mark.parametrize("where", ["POST", "PATCH"])
@pytest.mark.parametrize("login", ["", "user:word@"], ids=["plain", "with a login"])
def test_upload_goes_to_no_other_host(where, login, registry, second_registry, name, declare_login, imgsync, foreign, destination):
    """A session, or the rest of one, on another host gets not a byte of the blob, nor of who we are; nothing is tagged."""
    push(registry, f"{name}/app", "1", image(1, layers=0, shared=bytes(100_000)))
    destination.add(switches.headers(Location=f"http://{login}{foreign.host}/v2/upload"), method=where, target="/uploads/")
    destination.add(switches.require_authorization(BASIC, 'Basic realm="x"'))
    declare_login(at="destination", **({"chunk_size": "64KiB"} if where == "PATCH" else {}))

    message = error_of(imgsync("apply", "-o", "json"))

    assert foreign.seen == []
    assert ("a login in it" if login else "another host, 127.0.0.2") in message
    assert second_registry.tags(f"m/{name}/app") == []


@pytest.mark.row("AUTH-08")
@pytest.mark.parametrize(
    "said", ["http://[::1/u", "http://127.0.0.1:99999/u", "http://127.0.0.1", "http://127.0.0.1?u", "//", "mailto:me@127.0.0.1", "http:///u"]
)
def test_upload_location_that_is_no_url_is_an_error(said, registry, name, declare, imgsync, destination):
    """Whatever stands there: one error of that image, or a request to the registry itself, and never a crash."""
    push(registry, f"{name}/app", "1", image(1))
    destination.add(switches.headers(Location=said), method="POST", target="/uploads/")
    declare(f"[{name}/app]", retry="{attempts: 1}")

    assert "127.0.0.1" in error_of(imgsync("apply", "-o", "json"))


@pytest.mark.row("AUTH-09")
@pytest.mark.parametrize(
    "said", ["http://127.0.0.1{port}{rest}", "http://127.0.0.1{rest}", "//127.0.0.1:80{rest}"], ids=["http", "without the port", "another port"]
)
def test_registry_behind_tls_that_names_itself_by_http(said, registry, second_registry, name, declare_login, imgsync, secure, destination):
    """The host is the registry's: path and query are taken, our own scheme and port kept, and nothing goes over http."""
    content = push(registry, f"{name}/app", "1", image(1))
    with secure(second_registry) as proxy:
        proxy.add(switches.location(lambda url: said.format(port=f":{destination.port}", rest="/" + url.split("/", 3)[3])), method="POST")
        proxy.add(switches.require_authorization(BASIC, 'Basic realm="x"'))
        declare_login(to=proxy, at="destination")

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        assert_served(second_registry, f"m/{name}/app", "1", content)
        assert len(proxy.requests("PUT .*/uploads/")) == len(content.blobs)
    assert destination.seen == []


@pytest.mark.row("AUTH-10", "AUTH-22")
@pytest.mark.parametrize(
    "link",
    [
        "{foreign}/v2/x",
        "//{host}/v2/x",
        "http://user:word-SECRET@{own}/v2/x",
        "http://localhost:{port}/v2/x",
        "http://[::1",
        "ftp://{own}/x",
        "http://{own}.evil.example/x",
    ],
)
def test_next_page_elsewhere_fails_the_listing(link, registry, name, declare_login, imgsync, source, foreign):
    """A page on another host, under another name, with a login, or at no address at all is not asked for, and what was seen is not taken for all."""
    push(registry, f"{name}/app", "1", image(1))
    said = link.format(foreign=foreign.url, host=foreign.host, own=source.host, port=source.port)
    source.add(switches.headers(Link=f'<{said}>; rel="next"'), target="/tags/list")
    declare_login()

    ran = imgsync("plan", "-o", "json")

    assert "nothing was sent there" in error_of(ran)
    assert ran.json["changes"] == []
    assert foreign.seen == []
    assert len(source.requests("GET ")) == 1
