"""`imgsync login-check`: reachability, credentials, permissions; changes nothing."""

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


def test_good_logins_are_shown_and_nothing_changes(lab, password_registry):
    """Pull and push are tried on the mirror's repositories."""
    push(lab.source, f"{lab.name}/app", "1", image(1))
    before = held(lab.destination_registry)
    lab.source.forget()
    settings = {password_registry.host: {"credentials": {"username": USER, "password": PASSWORD}}}
    lab.workplace.allow_plain_http(lab.source, lab.destination, password_registry, settings=settings)
    declare(lab.workplace, f"{lab.source}/{lab.name}/app", f"{lab.destination}/m", f"{password_registry.host}/m")

    ran = lab.run("login-check", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert ran.json["format"] == "imgsync.access/v1"
    found = {(one["registry"], one["action"]): one for one in ran.json["access"]}
    assert found[lab.source.host, "pull"]["allowed"] is True
    assert found[lab.source.host, "pull"]["found_in"] is None
    assert found[lab.destination.host, "push"] == found[lab.destination.host, "push"] | {"allowed": True, "repository": f"m/{lab.name}/app"}
    assert found[password_registry.host, "push"] == found[password_registry.host, "push"] | {"allowed": True, "found_in": "registries.yaml"}
    assert PASSWORD not in ran.stdout + ran.stderr
    assert held(lab.destination_registry) == before
    assert lab.destination.requests("PUT") == []
    assert [len(lab.destination.requests(f"^{method} .*/m/{lab.name}/app/blobs/uploads/")) for method in ("POST", "DELETE")] == [1, 1]
    assert len(lab.destination.requests("POST|DELETE")) == 2
    shown = lab.run("login-check").stdout
    assert f"+ {lab.destination.host} (destination of a)   anonymous   may push m/{lab.name}/app" in shown
    assert "3 registries checked: all good." in shown


def test_wrong_password_and_missing_login_fail(lab, password_registry):
    """Each row says which credentials were refused or where they were looked for; exit 1."""
    lab.push("app", "1", image(1))
    settings = {password_registry.host: {"credentials": {"username": USER, "password": "wrong-SECRET"}}}
    lab.workplace.allow_plain_http(lab.source_registry, password_registry, settings=settings)
    declare(lab.workplace, f"{lab.source_registry}/{lab.name}/app", f"{password_registry.host}/m")

    ran = lab.run("login-check", "-o", "json")

    refused = next(one for one in ran.json["access"] if one["action"] == "push")
    assert ran.code == 1
    assert (refused["reachable"], refused["allowed"]) == (True, False)
    assert "from registries.yaml were refused" in refused["hint"]
    assert "wrong-SECRET" not in ran.stdout + ran.stderr
    lab.workplace.allow_plain_http(lab.source_registry, password_registry)
    assert "no credentials for" in lab.run("login-check").stdout


def test_login_that_may_pull_but_not_push(lab, token_registry, token_server):
    """A token with fewer rights than requested shows as no push permission."""
    lab.push("app", "1", image(1))
    (lab.folder / "docker").mkdir()
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (lab.folder / "docker" / "config.json").write_text(json.dumps({"auths": {token_registry.host: {"auth": auth}}}))
    token_server.grants = {"pull"}
    lab.workplace.allow_plain_http(lab.source_registry, token_registry)
    declare(lab.workplace, f"{lab.source_registry}/{lab.name}/app", f"{token_registry.host}/m")

    ran = lab.run("login-check", "-o", "json")

    refused = next(one for one in ran.json["access"] if one["action"] == "push")
    assert (ran.code, refused["allowed"], refused["username"]) == (1, False, USER)
    assert refused["found_in"].endswith("docker/config.json")
    assert PASSWORD not in ran.stdout + ran.stderr


def test_unreachable_and_read_only_registries(lab):
    """An unreachable registry and a read-only one are shown differently."""
    lab.push("app", "1", image(1))
    lab.destination.add(switches.status(405), method="PATCH")
    lab.workplace.allow_plain_http(lab.source_registry, lab.destination, "127.0.0.1:1")
    declare(lab.workplace, f"{lab.source_registry}/{lab.name}/app", f"{lab.destination}/m", "127.0.0.1:1/m", retry={"attempts": 1})

    ran = lab.run("login-check", "-o", "json")

    found = {one["registry"]: one for one in ran.json["access"] if one["action"] == "push"}
    assert ran.code == 1
    assert (found["127.0.0.1:1"]["reachable"], found["127.0.0.1:1"]["allowed"]) == (False, False)
    assert "cannot connect" in found["127.0.0.1:1"]["error"]
    assert (found[lab.destination.host]["reachable"], found[lab.destination.host]["allowed"]) == (True, False)


def test_namespaces_are_tried_on_their_first_repository(lab):
    """A namespace is listed and one of its repositories is tried."""
    lab.push("app", "1", image(1))
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    lab.workplace.mirror("a", source={"registry": lab.source.host, "namespaces": [lab.name]}, destinations=[f"{lab.destination}/m"])

    ran = lab.run("login-check", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert [one["repository"] for one in ran.json["access"]] in ([f"{lab.name}/app", f"m/{lab.name}/app"], [f"m/{lab.name}/app", f"{lab.name}/app"])
