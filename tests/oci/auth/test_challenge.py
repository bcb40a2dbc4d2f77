"""WWW-Authenticate: its parser, and the token servers that it may name."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import laws
from imgsync.oci.auth.challenge import choose_challenge, describe_bad_realm, parse_challenges
from tests import switches
from tests.support.images import image
from tests.support.logins import BASIC, USER, challenge
from tests.support.outcomes import error_of
from tests.switches import Respond


@pytest.mark.row("AUTH-03", "AUTH-17")
@pytest.mark.parametrize("kind", ["password", "identity token", "docker's file"])
def test_token_server_on_another_host_gets_no_request(kind, lab, declare_login):
    """The error names it and the setting that would allow it."""
    lab.push("app", "1", image(1))
    lab.source.add(challenge(f"{lab.other_host.url}/token"), target="^/v2/")
    declare_login()
    if kind != "password":
        auth = {"auth": base64.b64encode(f"{USER}:".encode()).decode(), "identitytoken": "identity-SECRET"} if kind == "identity token" else {"auth": BASIC[6:]}
        lab.write("docker/config.json", json.dumps({"auths": {lab.source.host: auth}}))
        lab.write("registries.yaml", f"version: 1\nregistries: {{'{lab.source.host}': {{tls: false}}, '127.0.0.1:1': {{tls: false}}}}\n")

    message = error_of(lab.run("plan", "-o", "json"))

    assert lab.other_host.seen == []
    assert "127.0.0.2, which is neither its own host nor its site" in message
    assert f"token_server: {lab.other_host.url}" in message


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
def test_impossible_realm_is_refused(realm, lab):
    """Metadata services, logins, fragments, no http, no URL: one error, no connection."""
    lab.push("app", "1", image(1))
    header = f'Bearer realm="{realm}",service="x"'.encode().decode("unicode_escape").encode()
    lab.source.add(
        switches.Raw(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\nWWW-Authenticate: " + header + b"\r\n\r\n"), target="^/v2/"
    )
    lab.declare("app", retry="{attempts: 1}")

    ran = lab.run("plan", "-o", "json")

    message = error_of(ran)
    assert "nothing was sent" in message, message


@pytest.mark.row("AUTH-06")
@pytest.mark.parametrize("login", [True, False], ids=["with a login", "as nobody"])
def test_token_server_that_redirects_is_not_followed(login, lab, declare_login):
    """One request, one error, with and without a login."""
    lab.push("app", "1", image(1))
    lab.other_host.add(Respond(200, {"token": "theirs"}))
    lab.source.add(switches.redirect(lab.other_host.host, code=302), target="^/token")
    lab.source.add(challenge(f"{lab.source.url}/token"), target="^/v2/")
    declare_login() if login else lab.declare("app")

    message = error_of(lab.run("plan", "-o", "json"))

    assert lab.other_host.seen == []
    assert len(lab.source.requests("/token")) == 1
    assert f"get a token for {lab.source.host}/{lab.name}/app" in message
    assert "127.0.0.1 answered 302" in message


@pytest.mark.row("AUTH-18")
def test_challenge_cannot_inject_parameters(lab):
    """`service` is one encoded value, and the scopes are our own."""
    lab.push("app", "1", image(1))
    wants = 'Bearer realm="{}/token?x=1",service="a&client_id=evil#&scope=registry:catalog:*",scope="repository:other:delete",scope="y"'
    lab.source.add(Respond(200, {"token": "THE-SECRET"}), target="^/token")
    lab.source.add(switches.require_authorization("Bearer THE-SECRET", wants.format(lab.source.url)), target="^/v2/")
    lab.declare("app", retry="{attempts: 1}")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stderr
    (asked,) = {one.target for one in lab.source.recorded("/token")}
    assert asked == f"/token?x=1&service=a%26client_id%3Devil%23%26scope%3Dregistry%3Acatalog%3A%2A&scope=repository%3A{lab.name}%2Fapp%3Apull"


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize(
    "header",
    [
        "a," + " " * 16_000 + '"',
        "a " * 8000,
        'a="' + "\\" * 16_000,
        "Bearer " + "a," * 8000,
        'Bearer realm="' + '\\"' * 8000,
        "Bearer a" + " " * 16_000,
        "," * 16_000 + '"',
    ],
    ids=["spaces", "words", "escapes", "commas", "quotes", "tail", "empty parts"],
)
def test_challenge_is_parsed_in_linear_time(header):
    """For any header."""
    began = time.process_time()

    parse_challenges([header])

    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="x"', [("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://a/token",service="a",scope="repository:x:pull,push"',
            [("bearer", {"realm": "https://a/token", "service": "a", "scope": "repository:x:pull,push"})],
        ),
        ("bearer REALM=https://a/token , Service=a", [("bearer", {"realm": "https://a/token", "service": "a"})]),
        ('Negotiate, Bearer realm="r", Basic realm="b, c"', [("negotiate", {}), ("bearer", {"realm": "r"}), ("basic", {"realm": "b, c"})]),
        (r'Bearer realm="quo\"ted"', [("bearer", {"realm": 'quo"ted'})]),
        ('Bearer realm="one",realm="two"', [("bearer", {"realm": "one"})]),
        ('Bearer realm="r" service="s"', [("bearer", {"realm": "r", "service": "s"})]),
        ('Negotiate YIIabc=, Basic realm="x"', [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Bearer, Basic realm="x"', [("bearer", {}), ("basic", {"realm": "x"})]),
        ('Bearer realm="open, Basic realm="x"', [("bearer", {}), ("basic", {"realm": "x"})]),
        ("", []),
        ('="nothing"', []),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_challenges_are_read_by_their_grammar(header, expected):
    """Several challenges, quoted commas, escapes, any case."""
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges([header])] == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["Bearer", 'Basic realm="r"'], "basic"),
        (['Basic realm="r"', 'Bearer realm="https://a/token"'], "bearer"),
        (['Bearer realm="Registry Realm", Basic realm="r"'], "basic"),
        (['Bearer service="a"', 'Bearer realm="https://a/token"'], "bearer"),
        (['Digest realm="r"', "Negotiate"], None),
        (["Bearer"], "bearer"),
    ],
    ids=str,
)
def test_challenge_that_can_be_answered_is_chosen(headers, expected):
    """Bearer first, unless it does not name its token server."""
    chosen = choose_challenge(parse_challenges(headers))

    assert (chosen and chosen.scheme) == expected


def test_bearer_without_realm_beside_basic(lab, declare_login):
    """The login is used by the challenge that can be answered."""
    lab.push("app", "1", image(1))
    lab.source.add(switches.require_authorization(BASIC, "Bearer, Basic realm=x"), target="^/v2/")
    declare_login()

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["copied"] == 1


def test_challenge_is_read_to_sixteen_kibibytes():
    """The rest is ignored; values are kept as they are."""
    behind = ', Basic realm="late"'
    room = (16 << 10) - len('Bearer realm="r",filler=""') - len(behind)

    read = [parse_challenges([f'Bearer realm="r",filler="{"x" * fill}"{behind}']) for fill in (room, room + 1)]

    assert [[one.scheme for one in challenges] for challenges in read] == [["bearer", "basic"], ["bearer", "basic"]]
    assert [challenges[-1].parameters.get("realm") for challenges in read] == ["late", None]
    with pytest.raises(AttributeError):
        read[0][0].scheme = "basic"


@given(st.text(max_size=200))
def test_no_header_breaks_the_challenge_parser(header):
    """Parsing ends for any header, and schemes are lower-case tokens."""
    laws.headers(header.encode())
    laws.headers(f"Bearer {header}".encode())


@pytest.mark.parametrize(
    ("realm", "allows_http", "problem"),
    [
        ("https://auth.example/token", False, ""),
        ("http://auth.example/token", True, ""),
        ("http://auth.example/token", False, "does not begin with https"),
        ("https://auth.example/token#x", False, "contains a '#'"),
        ("https://me@auth.example/token", False, "contains a user or a password"),
        ("http://me:pass@auth.example/token", True, "contains a user or a password"),
    ],
)
def test_unfit_token_server_says_why(realm, allows_http, problem):
    """The reason, without the URL."""
    assert describe_bad_realm(realm, allows_http=allows_http) == problem
