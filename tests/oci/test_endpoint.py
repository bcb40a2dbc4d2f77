"""A registry that calls itself by another host: refused, unless `also_known_as` names the host."""

from __future__ import annotations

import json

import pytest

from imgsync.oci.endpoint import Credentials, DeclaredCredentials, Endpoint, is_alias
from tests import switches
from tests.support.images import image
from tests.support.logins import BASIC, CREDENTIALS
from tests.support.outcomes import only_plan_error
from tests.support.wire import plain_answer
from tests.switches import Switch

PLAIN, TLS = ("http", "127.0.0.1", 5000), ("https", "r.io", 443)


class Guard(Switch):
    """Ask for a password."""

    def request(self, request):
        """Refuse without it."""
        return request if request.header("authorization") == BASIC else plain_answer(401, b"", {"WWW-Authenticate": "Basic realm=x"})


def declare(lab, *aliases: str, side: str = "destination") -> None:
    ends = {"source": lab.source, "destination": lab.destination}
    settings = {end.host: {"tls": False} for end in ends.values()}
    settings[ends[side].host] |= {"credentials": CREDENTIALS, **({"also_known_as": list(aliases)} if aliases else {})}
    lab.workplace.registries_file(json.dumps({"version": 1, "registries": settings}))
    lab.workplace.mirror("a", source=f"{lab.source}/{lab.name}/app", destinations=[f"{lab.destination}/m"], retry={"attempts": 1})


@pytest.mark.row("AUTH-30")
@pytest.mark.parametrize("port", [True, False])
def test_upload_goes_to_the_declared_host(port, lab):
    """With the credentials of the registry."""
    content = lab.push("app", "1", image(1))
    lab.destination.add(switches.location(lambda url: url.replace("127.0.0.1", "localhost")), method="POST", target="/blobs/uploads/")
    lab.destination.add(Guard())
    declare(lab, f"localhost:{lab.destination.port}" if port else "localhost")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stdout
    lab.assert_served("app", "1", content)
    assert lab.run("login-check").code == 0


@pytest.mark.row("AUTH-30")
def test_undeclared_host_is_found_by_login_check(lab):
    """Nothing is sent there, and the error names the setting."""
    lab.push("app", "1", image(1))
    lab.destination.add(switches.location(lambda url: url.replace("127.0.0.1", "localhost")), method="POST", target="/blobs/uploads/")
    declare(lab)
    setting = f"also_known_as: [localhost:{lab.destination.port}] for {lab.destination.host} in registries.yaml"

    ran = lab.run("apply", "-o", "json")
    checked = lab.run("login-check")

    assert ran.code == checked.code == 1
    assert setting in ran.stdout
    assert setting in " ".join(checked.stdout.split())


@pytest.mark.row("AUTH-30")
@pytest.mark.parametrize("where", ["link", "redirect", "realm"])
def test_other_places_that_name_the_host(where, lab):
    """A next page, a redirected read, and a token server."""
    lab.push("app", "1", image(1))
    elsewhere = f"http://localhost:{lab.source.port}"
    if where == "link":
        first = {"name": "app", "tags": []}
        link = {"Link": f'<{elsewhere}/v2/{lab.name}/app/tags/list?x=2>; rel="next"'}
        lab.source.add(switches.Respond(200, first, headers=link), target="/tags/list", times=1)
        lab.source.add(Guard())
    elif where == "redirect":
        lab.source.add(Guard())
        target = f"{elsewhere}/v2/{lab.name}/app/tags/list?x=2"
        lab.source.add(switches.Respond(307, headers={"Location": target}), target="/tags/list$")
    else:
        lab.source.add(switches.Respond(200, {"token": "t-SECRET"}), target="^/token")
        lab.source.add(switches.require_authorization("Bearer t-SECRET", f'Bearer realm="{elsewhere}/token",service="x"'), target="^/v2/")

    declare(lab, f"localhost:{lab.source.port}", side="source")
    allowed = lab.run("plan", "-o", "json")

    assert allowed.code == 0, allowed.stdout
    assert allowed.json["summary"]["create"] == 1


def test_link_to_an_undeclared_host_names_the_setting(lab):
    """As a `Location` does."""
    lab.push("app", "1", image(1))
    link = {"Link": f'<http://localhost:{lab.source.port}/x>; rel="next"'}
    lab.source.add(switches.Respond(200, {"name": "app", "tags": []}, headers=link), target="/tags/list")
    declare(lab, side="source")

    assert f"also_known_as: [localhost:{lab.source.port}]" in only_plan_error(lab.run("plan", "-o", "json"))


@pytest.mark.row("AUTH-30")
@pytest.mark.parametrize(
    ("origin", "own", "aliases", "expected"),
    [
        (("https", "other.io", 443), TLS, ["other.io"], True),
        (("https", "other.io", 8443), TLS, ["other.io"], False),
        (("https", "other.io", 8443), TLS, ["other.io:8443"], True),
        (("http", "other.io", 80), TLS, ["other.io", "other.io:80"], False),
        (("https", "evil.other.io", 443), TLS, ["other.io"], False),
        (("http", "localhost", 5000), PLAIN, ["localhost"], True),
        (("https", "localhost", 443), PLAIN, ["localhost"], True),
        (("http", "localhost", 6000), PLAIN, ["localhost"], False),
        (("http", "::1", 5000), PLAIN, ["[::1]:5000"], True),
        (("https", "other.io", 443), TLS, [], False),
    ],
)
def test_alias_is_a_whole_host(origin, own, aliases, expected):
    """With its port or the registry's, and never by http instead of https."""
    assert is_alias(origin, own, aliases) is expected


def test_same_host_by_http_is_a_matter_of_its_proxy():
    """No setting allows it, so none is named."""
    endpoint = Endpoint("r.io", "source", lambda _: pytest.fail("no connection here"), DeclaredCredentials(Credentials("", "")))

    hint = endpoint.explain_other_host("http://r.io/v2/a/tags/list?last=x")

    assert "X-Forwarded-Proto: https" in hint
    assert "also_known_as" not in hint


def test_invalid_other_host_is_an_error(lab):
    """A URL is not a host."""
    lab.write("registries.yaml", "version: 1\nregistries:\n  r.io: {also_known_as: ['https://other.io']}\n")
    lab.workplace.mirror("a", source="r.io/a", destinations=["r.io/m"])

    ran = lab.run("validate")

    assert ran.code == 3
    assert "'https://other.io' is written as a URL (write it without https://: other.io)" in ran.stderr
