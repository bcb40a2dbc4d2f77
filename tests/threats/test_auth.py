"""Credentials, redirects and addresses: who gets to know who we are, and where a hostile registry can lead us. Rows AUTH of docs/threat-model.md."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import re
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from imgsync.config.model import Destination
from imgsync.config.templates import expand_repository
from imgsync.errors import CredentialsError, InvalidReferenceError
from imgsync.oci.auth.auth_files import AuthFile
from imgsync.oci.auth.credential_helper import ask_helper
from imgsync.oci.auth.token import parse_token
from imgsync.oci.errors import Operation
from imgsync.oci.spec.reference import parse_registry
from tests import switches
from tests.support.canary import secrets_in
from tests.support.faults import FaultProxy
from tests.support.images import OCI, digest_of, image, push, to_json
from tests.support.registry_process import LOGIN, RegistryProcess
from tests.support.run_imgsync import Result, Workplace
from tests.support.tunnel import Tunnel
from tests.support.witness import assert_served
from tests.switches import Respond
from tests.switches.auth import UnlessHost

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
    assert "127.0.0.2, to which the registry sent us, refuses" in message


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
def test_upload_location_that_is_no_url_is_an_error(registry, second_registry, name, declare, imgsync, destination):
    """Whatever stands there: one error of that image alone, or a request to the registry itself, and never a crash."""
    odd = [
        "http://[::1/u",
        "http://127.0.0.1:99999/u",
        "http://127.0.0.1",
        "http://127.0.0.1?u",
        "//",
        "mailto:me@127.0.0.1",
        "http:///u",
        "http://\u2100.example/",
    ]
    for number, said in enumerate(odd):
        push(registry, f"{name}/app{number}", "1", image((name, number), layers=1))
        head = f"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\nLocation: {said}\r\n\r\n"
        destination.add(switches.Raw(head.encode()), method="POST", target=f"app{number}/")
    push(registry, f"{name}/good", "1", image((name, "good"), layers=1))
    declare(str([*(f"{name}/app{number}" for number in range(len(odd))), f"{name}/good"]), retry="{attempts: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert [one["source"].partition(f"{name}/")[2] for one in ran.json["outcomes"] if not one["error"]] == ["good:1"]
    assert len(ran.json["outcomes"]) == len(odd) + 1
    assert second_registry.tags(f"m/{name}/app0") == []


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
def test_next_page_elsewhere_fails_the_listing(registry, name, declare_login, imgsync, source, foreign, workplace):
    """A page on another host, under another name, with a login, or at no address at all is not asked for, and what was seen is not taken for all."""
    links = [
        f"{foreign.url}/v2/x",
        f"//{foreign.host}/v2/x",
        f"https://{source.host}/v2/x",
        f"http://user:word-SECRET@{source.host}/v2/x",
        f"http://localhost:{source.port}/v2/x",
        f"http://{source.host}.evil.example/x",
        f"ftp://{source.host}/x",
        "http://[::1",
    ]
    for number, link in enumerate(links):
        push(registry, f"{name}/app{number}", "1", image(1, layers=0))
        source.add(switches.headers(Link=f'<{link}>; rel="next"'), target=f"app{number}/tags/list")
    declare_login()
    repositories = {"registry": source.host, "repositories": [f"{name}/app{number}" for number in range(len(links))]}
    workplace.mirror("a", source=repositories, destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 1
    assert len([one for one in ran.json["errors"] if "nothing was sent there" in one["message"]]) == len(links), ran.json["errors"]
    assert ran.json["changes"] == []
    assert foreign.seen == []
    assert len(source.requests()) == len(links)


@pytest.mark.row("AUTH-11")
def test_urls_of_foreign_layers_are_never_asked(registry, name, declare, imgsync, source, foreign):
    """A manifest that says where a layer lies elsewhere leads nowhere: the layer is asked of the registry alone, or of nobody."""
    blob = b"on another server"
    own = image(1, layers=1)
    manifest = json.loads(own.raw)
    for kind in ("application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"):
        manifest["layers"].append(
            {"mediaType": kind, "digest": digest_of(blob), "size": len(blob), "urls": [f"{foreign.url}/layer", "http://169.254.169.254/"]}
        )
    raw = to_json(manifest)
    push(registry, f"{name}/app", "1", own)
    served = {"Content-Type": OCI["manifest"], "Docker-Content-Digest": digest_of(raw)}
    source.add(Respond(200, raw, headers=served), target="/manifests/")
    declare(f"[{name}/app]", retry="{attempts: 1}")

    imgsync("apply", "-o", "json")

    assert source.requests("GET .*/blobs/"), "the copy was begun"
    assert foreign.seen == []


DIGESTS = [
    "../../other/blobs/sha256:" + "0" * 64,
    "sha256:../../../secret",
    "sha256:%2e%2e%2f",
    "sha256:" + "0" * 63 + "\n",
    "sha256:" + "0" * 64 + "\n",
    "sha256:" + "A" * 64,
    "sha256:" + "0" * 64 + "?x=y",
    "md5:" + "0" * 32,
]


@pytest.mark.row("AUTH-12")
@pytest.mark.parametrize("where", ["layer", "child"])
def test_digest_that_is_a_path_is_refused(where, registry, second_registry, name, declare, imgsync, source, destination):
    """What is no digest by every character is an error of that image before it is part of any address; not one request is made for it."""
    content = push(registry, f"{name}/app", "0", image(1, layers=1))
    raws = []
    for number, digest in enumerate(DIGESTS):
        document = json.loads(content.raw)
        if where == "layer":
            document["layers"][0]["digest"] = digest
        else:
            document = {"schemaVersion": 2, "mediaType": OCI["index"], "manifests": [{"mediaType": OCI["manifest"], "digest": digest, "size": 500}]}
        raws.append(to_json(document))
        served = {"Content-Type": document["mediaType"], "Docker-Content-Digest": digest_of(raws[-1])}
        source.add(Respond(200, raws[-1], headers=served), target=f"/manifests/({number}|{digest_of(raws[-1])})$")
    tags = [str(number) for number in range(len(DIGESTS))]
    source.add(Respond(200, {"tags": tags}), target="/tags/list")
    declare(f"[{name}/app]", retry="{attempts: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    errors = [one["error"] for one in ran.json["outcomes"]] or [one["message"] for one in ran.json["errors"]]
    assert len(errors) == len(DIGESTS)
    assert all("digest" in error for error in errors), errors
    named = [*tags, *map(digest_of, raws)]
    assert {one.target for one in source.seen} <= {f"/v2/{name}/app/tags/list", *(f"/v2/{name}/app/manifests/{one}" for one in named)}
    assert destination.requests("^P") == []
    assert second_registry.tags(f"m/{name}/app") == []


PATHS = ["a/../../b", "a/%2e%2e/b", "a?b", "a#b", "a/./b", "a\nb", "a b", "ａ/b", "A/b", "a" * 256]


@pytest.mark.row("AUTH-13")
def test_path_that_is_none_is_a_fault(imgsync, workplace):
    """No place of a declaration takes what could lead out of its path: each is a fault with its place, before any request."""
    odd = [*PATHS, "a//b", "/a", "a/"]
    mirrors = [
        {"name": "a", "source": {"registry": "127.0.0.1:1", "repositories": odd, "namespaces": odd}, "destinations": ["127.0.0.1:1/m"]},
        {"name": "b", "source": "127.0.0.1:1/a", "destinations": [{"registry": "127.0.0.1:1", "namespace": path} for path in odd]},
    ]
    workplace.mirror_file(json.dumps({"version": 1, "mirrors": mirrors}))

    ran = imgsync("validate")

    assert ran.code == 3, ran.stdout
    for number in range(len(odd)):
        for place in (f"mirrors[0].source.repositories[{number}]", f"mirrors[0].source.namespaces[{number}]", f"mirrors[1].destinations[{number}]"):
            assert place in ran.stderr


@pytest.mark.row("AUTH-13")
@pytest.mark.parametrize("path", PATHS)
def test_template_makes_no_path_that_is_none(path):
    """What a template comes to is read by the same grammar as what was written."""
    with pytest.raises(InvalidReferenceError, match="no repository path"):
        expand_repository(Destination("r.io", "m", path), "app", relative="app", registry="s.io")


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize("where", ["registries.yaml", "docker/config.json"])
def test_login_is_for_one_host_and_port(where, name, imgsync, write, source, workplace):
    """A registry whose name only begins, ends or sounds like some that we have a login for is asked as nobody."""
    source.add(WANTS_LOGIN)
    others = [f"localhost:{source.port - 1}", f"localhost.example.com:{source.port}", f"ocalhost:{source.port}", f"x.localhost:{source.port}"]
    hosts = [source.host, "localhost", *others]
    trusted: dict[str, object] = {f"localhost:{source.port}": {"tls": False}}
    if where == "registries.yaml":
        trusted |= {host: {"credentials": CREDENTIALS, "tls": False} for host in hosts}
    else:
        keys = [*hosts, *(f"https://{host}/v1/" for host in hosts), f"localhost.:{source.port}", f"localhost:{source.port}x"]
        write(where, json.dumps({"auths": {key: {"auth": BASIC[6:]} for key in keys}}))
    write("registries.yaml", json.dumps({"version": 1, "registries": trusted}))
    workplace.mirror("a", source=f"localhost:{source.port}/{name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    assert "no credentials for localhost" in error_of(imgsync("plan", "-o", "json"))
    assert source.seen
    assert not [one for one in source.seen if "authorization" in one.headers]


@pytest.mark.row("AUTH-14")
@pytest.mark.parametrize(
    "host", ["\u212aube.io", "kube.io.", "kube.io:443", "kube.io.evil.net", "notkube.io", "kube.io@evil.net", "user@kube.io", "kube.io\u200b"]
)
def test_name_that_looks_alike_is_another(host):
    """No key of an auth file is for kube.io but its own name; and as a registry's name none of the odd ones is taken."""
    file = AuthFile("f", {host: {"auth": BASIC[6:]}})

    assert file.login("kube.io", "a") is None
    if host not in {"kube.io:443", "kube.io.evil.net", "notkube.io"}:
        with pytest.raises(InvalidReferenceError):
            parse_registry(host)


def scopes_of(authorization: str) -> list[str]:
    """Return what a token of the suite's token server grants."""
    claims = authorization.split(".")[1]
    return [f"{one['name']}:{','.join(one['actions'])}" for one in json.loads(base64.urlsafe_b64decode(claims + "=="))["access"]]


@pytest.mark.row("AUTH-15")
def test_each_request_bears_the_token_of_its_own_repository(token_registry, token_server, name, workplace, imgsync):
    """A token serves the repository and the side that it was asked for, and no other; nothing asks for more than it needs."""
    for path in ("one", "two"):
        push(token_registry, f"{name}/{path}", "1", image(path), client=token_registry.client(f"repository:{name}/{path}:pull,push"))
    token_server.reset()
    with FaultProxy(token_registry) as proxy:
        server = token_server.realm.removesuffix("/token")
        workplace.trust_plain(proxy, settings={proxy.host: {"token_server": server, "credentials": dict(zip(("username", "password"), LOGIN, strict=True))}})
        workplace.mirror("a", source={"registry": proxy.host, "repositories": [f"{name}/one", f"{name}/two"]}, destinations=[f"{proxy}/m"])

        ran = imgsync("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        borne = {
            (re.sub(r"^/v2/|/(manifests|blobs|tags|referrers)/.*", "", one.path), tuple(scopes_of(one.headers["authorization"])))
            for one in proxy.seen
            if "authorization" in one.headers
        }
    for path, scopes in borne:
        own = f"{path}:pull" if path.startswith(name) else f"{path}:pull,push"
        assert own in scopes
        assert not [scope for scope in scopes if "*" in scope or "delete" in scope]
        # Besides, a blob may be mounted from another repository of the same destination.
        assert all(scope.startswith("m/") and scope.endswith(":pull") for scope in scopes if scope != own)
    assert {path for path, _ in borne} >= {f"{name}/one", f"{name}/two", f"m/{name}/one", f"m/{name}/two"}


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
def test_life_of_a_token_is_what_can_be_true(field, more, least, most):
    """However long it is said to live: a minute where nothing sensible is said, an hour at most, four fifths of it used."""
    operation = Operation("get a token for", "r.io/a", "source")

    token = parse_token(json.dumps({field: "text", **more}).encode(), ["a"], login=None, operation=operation)

    assert token.text == "text"
    assert least - 1 < token.ends - time.monotonic() <= most


@pytest.mark.row("AUTH-16")
def test_token_that_was_old_when_it_came_is_used_all_the_same():
    """A clock that is minutes behind must not make each request ask for a token of its own."""
    issued = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=200)).isoformat()
    operation = Operation("get a token for", "r.io/a", "source")

    def life(expires_in: int) -> float:
        document = {"token": "text", "issued_at": issued, "expires_in": expires_in}
        return parse_token(json.dumps(document).encode(), ["a"], login=None, operation=operation).ends - time.monotonic()

    assert 79 < life(300) <= 80.1, "a hundred seconds are left of it"
    assert 47 < life(60) <= 48


@pytest.mark.row("AUTH-18")
def test_challenge_adds_nothing_to_the_question(registry, name, declare, imgsync, source):
    """What the challenge calls service is one value of the query, whatever is in it; what is asked for is ours, not what the challenge wants."""
    push(registry, f"{name}/app", "1", image(1))
    wants = 'Bearer realm="{}/token?x=1",service="a&client_id=evil#&scope=registry:catalog:*",scope="repository:other:delete",scope="y"'
    source.add(Respond(200, {"token": "THE-SECRET"}), target="^/token")
    source.add(switches.require_authorization("Bearer THE-SECRET", wants.format(source.url)), target="^/v2/")
    declare(f"[{name}/app]", retry="{attempts: 1}")

    ran = imgsync("plan", "-o", "json")

    assert ran.code == 0, ran.stderr
    (asked,) = {one.target for one in source.recorded("/token")}
    assert asked == f"/token?x=1&service=a%26client_id%3Devil%23%26scope%3Dregistry%3Acatalog%3A%2A&scope=repository%3A{name}%2Fapp%3Apull"


@pytest.mark.row("AUTH-20")
@pytest.mark.parametrize("by_variable", [False, True], ids=["in HOME", "by NETRC"])
def test_netrc_is_not_read(by_variable, name, declare, imgsync, write, source):
    """What other programs keep there is not for registries: who is in no file of ours is nobody."""
    text = f"machine 127.0.0.1 login me password netrc-SECRET\nmachine {source.host} login me password netrc-SECRET\n"
    file = write("elsewhere" if by_variable else "home/.netrc", text)
    file.chmod(0o600)
    source.add(WANTS_LOGIN)
    declare(f"[{name}/app]", retry="{attempts: 1}")

    message = error_of(imgsync("plan", "-o", "json", env={"NETRC": str(file)} if by_variable else {}))

    assert "no credentials" in message
    assert not [one for one in source.seen if "authorization" in one.headers]


@pytest.mark.row("AUTH-22")
@pytest.mark.parametrize("where", ["source", "destination", "source.registry", "registries.yaml", "proxy", "token_server", "listing", "copy", "list", "state"])
def test_login_in_an_address_is_refused_and_not_repeated(where, imgsync, write, workplace):
    """Wherever somebody writes https://USER:PASSWORD@HOST: an error that says where, and does not say it again (the canary listens)."""
    url = "https://user:word-SECRET@registry.example"
    plain = url.removeprefix("https://")
    setting = {"proxy": f"socks5://{plain}", "token_server": url, "listing": {"kind": "gitlab", "url": url}}
    if where in setting:
        write("registries.yaml", json.dumps({"version": 1, "registries": {"registry.example": {where: setting[where]}}}))
    elif where == "registries.yaml":
        write("registries.yaml", json.dumps({"version": 1, "registries": {plain: {}}}))
    source = {"source": f"{url}/a", "source.registry": {"registry": url, "repositories": ["a"]}}.get(where, "registry.example/a")
    workplace.mirror("a", source=source, destinations=[f"{plain if where == 'destination' else 'registry.example'}/m"])
    command = {"copy": ["copy", f"{plain}/a:1", "registry.example/b:1"], "list": ["list", url], "state": ["plan", "--state", f"oci://{plain}/a:1"]}

    ran = imgsync(*command.get(where, ["validate"]))

    assert ran.code == 3
    assert "registry" in ran.stderr


@pytest.mark.row("AUTH-22")
def test_redirect_with_a_login_in_it_is_not_followed(registry, name, declare, imgsync, source, foreign):
    """Nobody tells us who to be."""
    push(registry, f"{name}/app", "1", image(1))
    source.add(switches.redirect(f"user:word-SECRET@{foreign.host}"), method="GET", target="/blobs/")
    declare(f"[{name}/app]", retry="{attempts: 1}")

    assert "hold no credentials" in error_of(imgsync("apply", "-o", "json"))
    assert foreign.seen == []


@pytest.mark.row("AUTH-22")
def test_login_of_a_proxy_shows_nowhere(registry, name, workplace, imgsync, source):
    """A proxy's login is sent to the proxy, and what it or the registry says of it is not repeated."""
    push(registry, f"{name}/app", "1", image(1))
    login = base64.b64encode(b"me:proxy word-SECRET").decode()
    source.add(Respond(403, {"errors": [{"code": "DENIED", "message": f"you sent {login}, that is proxy word-SECRET or proxy%20word-SECRET"}]}))
    proxy = source.url.replace("://", "://me:proxy%20word-SECRET@")
    workplace.trust_plain(registry, settings={registry.host: {"proxy": proxy}})
    workplace.mirror("a", source=f"{registry}/{name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    message = error_of(imgsync("plan", "-o", "json", "--log-level", "debug"))
    shown = imgsync("validate", "--show")

    assert {one.headers["proxy-authorization"] for one in source.seen} == {f"Basic {login}"}
    assert "you sent ***, that is *** or ***" in message
    assert source.host in shown.stdout


@pytest.mark.row("AUTH-23")
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sleep 60 & sleep 60", "did not answer within 0.5s"),
        ("setsid sleep 5 & sleep 60", "did not answer within 0.5s"),
        ("exec 1>&-; sleep 60", "did not answer within 0.5s"),
        ("yes flood-SECRET", "printed more than 64 KiB"),
        ("yes flood-SECRET | head -c 1000000; exit 1", "printed more than 64 KiB"),
        ("echo '<html>word-SECRET</html>'", "printed no login"),
        ("exec 0<&-; sleep 0.1; echo '{}'", "printed no login"),
        ("kill -9 $$", "failed with exit code -9"),
    ],
    ids=["hangs", "leaves its session", "closes its output", "floods", "floods and ends", "HTML", "reads nothing", "is killed"],
)
def test_helper_cannot_hold_us_up(body, says, tmp_path, monkeypatch):
    """Whatever a credential helper does: an error within its time and a second or two, in little memory, and nothing of its session is left."""
    program = tmp_path / "docker-credential-test"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began = time.monotonic()
    tracemalloc.start()

    with pytest.raises(CredentialsError, match=says) as caught:
        ask_helper("test", "r.io", timeout_seconds=0.5)

    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began < 4
    assert most < 4 << 20
    assert secrets_in(f"{caught.value} {caught.value.hint}") == []
    session = int((tmp_path / "pid").read_text())
    while lives(session):
        assert time.monotonic() - began < 10, "something of it still runs"


def lives(session: int) -> bool:
    """Return whether a process of a session runs, or will; those that only wait for their parent's notice do not."""
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    return any(int(fields[3]) == session and fields[0] not in "ZX" for fields in stats)


@pytest.mark.row("AUTH-24")
@pytest.mark.parametrize("damage", ["cut", "quoted", "no object"])
def test_damaged_auth_file_is_told_without_its_text(damage, name, declare, imgsync, write, source):
    """File and line, not what is in it; the run goes on as nobody. (A file that everybody may read is told of, whole or not.)"""
    whole = json.dumps({"auths": {source.host: {"auth": BASIC[6:], "password": PASSWORD}}}, indent=1)
    text = {"cut": whole[: whole.index(PASSWORD) + len(PASSWORD)], "quoted": whole.replace(f'"{PASSWORD}"', PASSWORD), "no object": f'["{PASSWORD}"]'}[damage]
    file = write("docker/config.json", text)
    source.add(WANTS_LOGIN)
    declare(f"[{name}/app]", retry="{attempts: 1}")

    ran = imgsync("plan", "-o", "json", "--log-level", "debug")

    assert "no credentials" in error_of(ran)
    assert str(file) in ran.events("credentials.unread")[0]["reason"]


@pytest.mark.row("AUTH-24")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o602])
def test_auth_file_that_everybody_may_read_is_told_of(mode, name, declare, imgsync, write, source):
    """Logins that every user of the machine could read, or change, are used; a warning says how to keep them to ourselves."""
    file = write("docker/config.json", json.dumps({"auths": {source.host: {"auth": BASIC[6:]}}}))
    file.chmod(mode)
    declare(f"[{name}/app]", retry="{attempts: 1}")

    told = imgsync("plan", "-o", "json").events("credentials.exposed")

    assert [one["path"] for one in told] == ([str(file)] if mode & 0o007 else [])


@pytest.mark.row("AUTH-25")
@pytest.mark.parametrize("proxied", [False, True], ids=["straight", "through a proxy"])
def test_keys_of_tls_are_not_written(proxied, registry, name, declare_login, imgsync, secure, source, workplace):
    """SSLKEYLOGFILE would have the keys to every login written to a file: it is not obeyed, and that is said."""
    push(registry, f"{name}/app", "1", image(1))
    with secure(registry) as proxy, Tunnel() as tunnel:
        declare_login(of=proxy, **({"proxy": tunnel.url} if proxied else {}))

        ran = imgsync("plan", env={"SSLKEYLOGFILE": str(workplace.folder / "keys")})

        assert ran.code in {0, 1}
        assert proxy.requests("tags/list")
        assert bool(tunnel.asked) == proxied
    assert not (workplace.folder / "keys").exists()
    assert ran.events("keylog.ignored")


@pytest.mark.row("AUTH-26")
@pytest.mark.parametrize("answers", ["plain http", "nothing", "TLS that is not trusted"])
def test_no_way_back_to_plain_http(answers, registry, name, workplace, imgsync, secure):
    """A registry that is to be spoken to over TLS and does not speak it, is not there, or is not trusted gets no request at all."""
    push(registry, f"{name}/app", "1", image(1))
    other = secure(registry)
    host = {"plain http": registry.host, "nothing": "127.0.0.1:1", "TLS that is not trusted": other.host}[answers]
    mark = registry.mark()
    workplace.mirror("a", source=f"{host}/{name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 2, "interval": "0s"})

    message = error_of(imgsync("plan", "-o", "json"))

    assert {"plain http": "tls: false", "nothing": "cannot connect", "TLS that is not trusted": "certificate"}[answers] in message
    assert registry.requests(mark) == ()
    assert other.seen == []
