"""`imgsync login-check`: reach, who we are, what we may do; nothing is changed and no secret shows."""

from __future__ import annotations

import base64
import json

from tests import switches
from tests.support.images import image, plain_client, push
from tests.support.registry_process import LOGIN

USER, PASSWORD = LOGIN


def declare(workplace, source: str, *destinations: str, **settings: object) -> None:
    workplace.mirror("a", source=source, destinations=list(destinations), **settings)


def held(registry) -> object:
    with plain_client(registry) as http:
        return http.get("/v2/_catalog?n=1000").json()


def test_good_logins_are_told_and_nothing_changes(registry, second_registry, password_registry, name, workplace, imgsync, source, destination):
    """Pull and push are tried on the repositories that the mirror would use; afterwards everything is as before."""
    push(source, f"{name}/app", "1", image(1))
    before = held(second_registry)
    source.forget()
    settings = {password_registry.host: {"credentials": {"username": USER, "password": PASSWORD}}}
    workplace.trust_plain(source, destination, password_registry, settings=settings)
    declare(workplace, f"{source}/{name}/app", f"{destination}/m", f"{password_registry.host}/m")

    ran = imgsync("login-check", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["format"] == "imgsync.access/v1"
    found = {(one["registry"], one["action"]): one for one in ran.json["access"]}
    assert found[source.host, "pull"]["allowed"] is True
    assert found[source.host, "pull"]["found_in"] is None
    assert found[destination.host, "push"] == found[destination.host, "push"] | {"allowed": True, "repository": f"m/{name}/app"}
    assert found[password_registry.host, "push"] == found[password_registry.host, "push"] | {"allowed": True, "found_in": "registries.yaml"}
    assert PASSWORD not in ran.stdout + ran.stderr
    assert held(second_registry) == before
    assert destination.requests("POST|PUT|DELETE") == []
    shown = imgsync("login-check").stdout
    assert f"+ {destination.host} (destination of a)   anonymous   may push m/{name}/app" in shown
    assert "3 checked: all good." in shown


def test_wrong_password_and_missing_login_fail(registry, password_registry, name, workplace, imgsync):
    """Each says whose login was refused, or where one was looked for; the exit code is 1."""
    push(registry, f"{name}/app", "1", image(1))
    settings = {password_registry.host: {"credentials": {"username": USER, "password": "wrong-SECRET"}}}
    workplace.trust_plain(registry, password_registry, settings=settings)
    declare(workplace, f"{registry}/{name}/app", f"{password_registry.host}/m")

    ran = imgsync("login-check", "-o", "json")

    refused = next(one for one in ran.json["access"] if one["action"] == "push")
    assert ran.code == 1
    assert (refused["reachable"], refused["allowed"]) == (True, False)
    assert "from registries.yaml were refused" in refused["hint"]
    assert "wrong-SECRET" not in ran.stdout + ran.stderr
    workplace.trust_plain(registry, password_registry)
    assert "no credentials for" in imgsync("login-check").stdout


def test_login_that_may_pull_but_not_push(registry, token_registry, token_server, name, workplace, imgsync):
    """A token server that grants less than was asked for: the registry refuses the piece, and that is told."""
    push(registry, f"{name}/app", "1", image(1))
    (workplace.folder / "docker").mkdir()
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (workplace.folder / "docker" / "config.json").write_text(json.dumps({"auths": {token_registry.host: {"auth": auth}}}))
    token_server.grants = {"pull"}
    workplace.trust_plain(registry, token_registry)
    declare(workplace, f"{registry}/{name}/app", f"{token_registry.host}/m")

    ran = imgsync("login-check", "-o", "json")

    refused = next(one for one in ran.json["access"] if one["action"] == "push")
    assert (ran.code, refused["allowed"], refused["username"]) == (1, False, USER)
    assert refused["found_in"].endswith("docker/config.json")
    assert PASSWORD not in ran.stdout + ran.stderr


def test_unreachable_and_read_only_registries(registry, name, workplace, imgsync, destination):
    """Nobody there is one thing, nobody may write is another."""
    push(registry, f"{name}/app", "1", image(1))
    destination.add(switches.status(405), method="PATCH")
    workplace.trust_plain(registry, destination, "127.0.0.1:1")
    declare(workplace, f"{registry}/{name}/app", f"{destination}/m", "127.0.0.1:1/m", retry={"attempts": 1})

    ran = imgsync("login-check", "-o", "json")

    found = {one["registry"]: one for one in ran.json["access"] if one["action"] == "push"}
    assert ran.code == 1
    assert (found["127.0.0.1:1"]["reachable"], found["127.0.0.1:1"]["allowed"]) == (False, False)
    assert "cannot connect" in found["127.0.0.1:1"]["error"]
    assert (found[destination.host]["reachable"], found[destination.host]["allowed"]) == (True, False)


def test_namespaces_are_tried_on_their_first_repository(registry, name, workplace, imgsync, source, destination):
    """What a namespace holds is listed; one repository of it is tried, and where it would go."""
    push(registry, f"{name}/app", "1", image(1))
    workplace.trust_plain(source, destination)
    workplace.mirror("a", source={"registry": source.host, "namespaces": [name]}, destinations=[f"{destination}/m"])

    ran = imgsync("login-check", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert [one["repository"] for one in ran.json["access"]] in ([f"{name}/app", f"m/{name}/app"], [f"m/{name}/app", f"{name}/app"])
