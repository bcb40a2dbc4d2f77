"""Logins at real registries: passwords, tokens, TLS; no secret is shown."""

from __future__ import annotations

import base64
import json
import os
import re

import pytest

from tests import switches
from tests.support.faults import FaultProxy
from tests.support.images import image, push
from tests.support.registry_process import LOGIN, running_registry, tls_files
from tests.support.witness import assert_served

USER, PASSWORD = LOGIN


def _login(host: str, password: str = PASSWORD, **more: object) -> dict[str, object]:
    return {"credentials": {"username": USER, "password": password}, **more}


def _seen(workplace) -> str:
    """Return everything in imgsync's folder, except the file with the secret."""
    files = [path for path in (workplace.folder / ".imgsync").rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode("latin-1") for path in files)


def test_password_registry_as_destination(lab, password_registry):
    """Basic credentials are sent when asked for; the password is never shown."""
    content = lab.push("app", "1", image())
    lab.workplace.allow_plain_http(lab.source_registry, password_registry, settings={password_registry.host: _login(password_registry.host)})
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{password_registry}/m"])

    ran = lab.run("apply", "--log-level", "debug", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert_served(password_registry, f"m/{lab.name}/app", "1", content)
    assert PASSWORD not in ran.stdout + ran.stderr + _seen(lab.workplace)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_wrong_password_is_named_by_side_and_origin(side, lab, password_registry):
    """The error names the registry and the file of the refused credentials; nothing is copied."""
    lab.push("app", "1", image())
    lab.workplace.allow_plain_http(lab.source_registry, password_registry, settings={password_registry.host: _login(password_registry.host, "wrong-SECRET")})
    one, other = (password_registry, lab.source_registry) if side == "source" else (lab.source_registry, password_registry)
    lab.workplace.mirror("a", source=f"{one}/{lab.name}/app", destinations=[f"{other}/m"])

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    told = ran.stdout + ran.stderr
    assert f"({side}): 401" in told
    assert f"credentials for {password_registry} from registries.yaml were refused" in told
    assert "wrong-SECRET" not in told
    assert password_registry.requests(prefix=f"/v2/m/{lab.name}/app/blobs/uploads") == ()


def test_password_from_a_variable_and_from_a_file(lab, password_registry):
    """`${VAR}` and `{file: …}` are read; `validate` shows neither."""
    lab.push("app", "1", image())
    (lab.folder / "secret").write_text(PASSWORD + "\n")
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{password_registry}/m"])
    for password in ("${REGISTRY_PASSWORD}", {"file": str(lab.folder / "secret")}):
        lab.workplace.allow_plain_http(
            lab.source_registry, password_registry, settings={password_registry.host: {"credentials": {"username": USER, "password": password}}}
        )

        ran = lab.run("plan", "--refresh", env={"REGISTRY_PASSWORD": PASSWORD})
        shown = lab.run("validate", "--show", env={"REGISTRY_PASSWORD": PASSWORD})

        assert ran.code == 0, ran.stderr
        assert shown.code == 0
        assert PASSWORD not in shown.stdout + shown.stderr


@pytest.mark.row("AUTH-15")
def test_token_registry_on_both_sides(token_registry, token_server, lab):
    """Pull tokens for the source, push tokens for the destination, few requests, no leak."""
    content = push(token_registry, f"{lab.name}/app", "1", image(layers=4), client=token_registry.client(f"repository:{lab.name}/app:pull,push"))
    token_server.reset()
    lab.workplace.allow_plain_http(token_registry, settings={token_registry.host: _login(token_registry.host)})
    lab.workplace.mirror("a", source=f"{token_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("apply", "--log-level", "debug", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert token_registry.get(f"m/{lab.name}/app/manifests/1", accept=content.media_type).content == content.raw
    asked = [one.scopes for one in token_server.requests]
    assert len(asked) == len(set(asked)), "no token is asked for twice"
    assert len(asked) <= 3
    assert (f"repository:{lab.name}/app:pull",) in asked
    assert not any(f"repository:{lab.name}/app:pull,push" in scope for scopes in asked for scope in scopes), "of a source only pull is asked"
    assert {one.login for one in token_server.requests} == {LOGIN}
    assert PASSWORD not in ran.stdout + ran.stderr + _seen(lab.workplace)
    assert "eyJ" not in ran.stdout + ran.stderr + _seen(lab.workplace), "nor does a token"


@pytest.mark.row("AUTH-16")
@pytest.mark.row("REG-04")
def test_expired_tokens_are_replaced(token_registry, token_server, lab):
    """A token that expired before its next use is requested again."""
    content = push(token_registry, f"{lab.name}/app", "1", image(), client=token_registry.client(f"repository:{lab.name}/app:pull,push"))
    token_server.reset()
    token_server.expires_in_seconds = 0
    lab.workplace.allow_plain_http(token_registry, settings={token_registry.host: _login(token_registry.host)})
    lab.workplace.mirror("a", source=f"{token_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert token_registry.get(f"m/{lab.name}/app/manifests/1", accept=content.media_type).content == content.raw


@pytest.mark.row("REG-04")
@pytest.mark.parametrize("times", [1, 9], ids=["once", "always"])
def test_token_refused_during_an_upload_is_replaced(times, lab, token_registry, token_server):
    """The blob's PUT is repeated with a new token; if that fails, the error says who refused."""
    content = lab.push("app", "1", image(layers=1))
    with FaultProxy(token_registry) as proxy:
        challenge = f'Bearer realm="{token_server.auth.realm}",service="{token_server.auth.service}",scope="repository:m/{lab.name}/app:pull,push"'
        proxy.add(switches.Respond(401, headers={"WWW-Authenticate": challenge}), method="PUT", target="/blobs/", times=times)
        lab.workplace.allow_plain_http(lab.source_registry, proxy, settings={proxy.host: _login(proxy.host)})
        lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{proxy}/m"], retry={"attempts": 3, "interval": "0s"})

        ran = lab.run("apply", "-o", "json")

    if times == 1:
        assert ran.code == 0, ran.stderr
        assert token_registry.get(f"m/{lab.name}/app/manifests/1", accept=content.media_type).content == content.raw
    else:
        assert ran.code == 1
        assert "(destination): 401 the registry refused the token" in ran.json["outcomes"][0]["error"]
        assert "from registries.yaml is accepted but does not allow this" in ran.json["outcomes"][0]["error"]


def test_token_server_that_refuses_is_one_clear_error(token_registry, token_server, lab):
    """The error shows the token server's status and hints at the credentials."""
    token_server.needs_login = True
    lab.workplace.allow_plain_http(token_registry)
    lab.workplace.mirror("a", source=f"{token_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"], retry={"attempts": 1})

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert "401" in ran.json["errors"][0]["message"]
    assert "no credentials" in ran.json["errors"][0]["message"]


@pytest.mark.row("AUTH-16")
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (switches.status(500), "500"),
        (switches.html(), "a web page, which is not a registry's response"),
        (switches.Respond(200, {"token": ""}), "the token server's response has no token"),
        (switches.Respond(200, {"token": "two\nlines"}), "the token server's response has no token"),
        (switches.Respond(200, {"token": None, "access_token": 5}), "the token server's response has no token"),
        (switches.status(404), "answered 404"),
        (switches.Respond(200, b"x" * 100_000), "the response is larger than 64 KiB"),
    ],
    ids=["500", "HTML", "empty", "two lines", "no text", "404", "endless"],
)
def test_malformed_token_responses_are_clear_errors(answer, says, lab):
    """Each error names the registry and the problem."""
    lab.push("app", "1", image())
    lab.source.add(answer, target="/token")
    lab.source.add(switches.Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{lab.source.url}/token",service="x"'}), target="/v2/")
    lab.declare("app")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert says in ran.json["errors"][0]["message"]
    assert f"get a token for {lab.source.host}/{lab.name}/app" in ran.json["errors"][0]["message"]


def _docker_config(workplace, document: object) -> None:
    (workplace.folder / "docker").mkdir(exist_ok=True)
    (workplace.folder / "docker" / "config.json").write_text(json.dumps(document))


def _helper(workplace, body: str) -> dict[str, str]:
    """Install docker-credential-test; return the environment that finds it."""
    program = workplace.folder / "bin" / "docker-credential-test"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho asked >> {workplace.folder}/asked\n{body}\n")
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize("post", [True, False], ids=["by POST", "server knows no POST"])
def test_identity_token_is_exchanged(post, lab, token_registry, token_server):
    """By POST, or by GET if the server has no POST; it is never shown."""
    lab.push("app", "1", image())
    secret = "identity-token-SECRET" if post else PASSWORD
    token_server.identity_token = secret if post else None
    lab.workplace.allow_plain_http(lab.source_registry, token_registry)
    auth = base64.b64encode(f"{USER}:".encode()).decode()
    _docker_config(lab.workplace, {"auths": {token_registry.host: {"auth": auth, "identitytoken": secret}}})
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("apply", "--log-level", "debug", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert {one.identity_token for one in token_server.requests if one.login is None} == {secret}
    assert {one.login for one in token_server.requests if one.login} == (set() if post else {LOGIN})
    assert secret not in ran.stdout + ran.stderr + _seen(lab.workplace)


def test_azure_s_user_name_marks_an_identity_token(lab, token_registry, token_server):
    """The user of zeros means that the password is a refresh token."""
    lab.push("app", "1", image())
    token_server.identity_token = "azure-refresh-SECRET"
    credentials = {"username": "00000000-0000-0000-0000-000000000000", "password": "azure-refresh-SECRET"}
    lab.workplace.allow_plain_http(lab.source_registry, token_registry, settings={token_registry.host: {"credentials": credentials}})
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("apply", "--log-level", "debug")

    assert ran.code == 0, ran.stderr
    assert {one.identity_token for one in token_server.requests} == {"azure-refresh-SECRET"}
    assert "azure-refresh-SECRET" not in ran.stdout + ran.stderr + _seen(lab.workplace)


def test_registry_token_is_sent_unchanged(lab, token_registry, token_server):
    """A bearer token in config.json needs no token server."""
    lab.push("app", "1", image())
    ready = token_server.issue([f"repository:m/{lab.name}/app:pull,push"])
    lab.workplace.allow_plain_http(lab.source_registry, token_registry)
    _docker_config(lab.workplace, {"auths": {token_registry.host: {"registrytoken": ready}}})
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("apply", "--log-level", "debug")

    assert ran.code == 0, ran.stderr
    assert token_server.requests == []
    assert ready not in ran.stdout + ran.stderr


def test_credential_helper_is_run_once(lab, token_registry, token_server):
    """However many requests need a token; its secret is never shown."""
    for number in range(3):
        lab.push("app", str(number), image(number))
    token_server.needs_login = True
    lab.workplace.allow_plain_http(lab.source_registry, token_registry)
    _docker_config(lab.workplace, {"credHelpers": {token_registry.host: "test"}})
    environ = _helper(lab.workplace, f'echo \'{{"Username":"{USER}","Secret":"{PASSWORD}"}}\'')
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("apply", "--log-level", "debug", "-o", "json", env=environ)

    assert ran.code == 0, ran.stderr
    assert (lab.folder / "asked").read_text() == "asked\n"
    assert PASSWORD not in ran.stdout + ran.stderr + _seen(lab.workplace)


def test_failing_helper_is_one_clear_error_per_registry(lab, token_registry, token_server):
    """The error names registry, side and helper, not its output; other mirrors continue."""
    lab.push("app", "1", image())
    lab.workplace.allow_plain_http(lab.source_registry, token_registry)
    _docker_config(lab.workplace, {"credHelpers": {token_registry.host: "test"}})
    environ = _helper(lab.workplace, "echo SECRET; exit 1")
    lab.workplace.mirror("a", source=f"{token_registry}/{lab.name}/app", destinations=[f"{lab.source_registry}/m"])
    lab.workplace.mirror("b", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{lab.source_registry}/n"])

    ran = lab.run("apply", "-o", "json", env=environ)

    assert ran.code == 1
    assert ran.json["summary"]["copied"] == 1
    assert [error["mirror"] for error in ran.json["errors"]] == ["a"]
    assert f"{token_registry}/{lab.name}/app (source): the credential helper docker-credential-test failed with exit code 1" in ran.json["errors"][0]["message"]
    assert "SECRET" not in ran.stdout + ran.stderr


def test_missing_store_is_a_warning(token_registry, token_server, lab):
    """Public registries are still read."""
    push(token_registry, f"{lab.name}/app", "1", image(), client=token_registry.client(f"repository:{lab.name}/app:pull,push"))
    lab.workplace.allow_plain_http(token_registry)
    _docker_config(lab.workplace, {"credsStore": "desktop"})
    lab.workplace.mirror("a", source=f"{token_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [event["reason"].partition(" (")[0] for event in ran.events("credentials.unread")] == [
        "the credential helper docker-credential-desktop is not installed"
    ]


def test_login_by_path_in_containers_auth_file(lab, token_registry, token_server):
    """In REGISTRY_AUTH_FILE the longest matching key counts."""
    content = lab.push("app", "1", image())
    token_server.needs_login = True
    good, bad = (base64.b64encode(f"{USER}:{password}".encode()).decode() for password in (PASSWORD, "wrong"))
    path = lab.workplace._write("auth.json", json.dumps({"auths": {token_registry.host: {"auth": bad}, f"{token_registry.host}/m/{lab.name}": {"auth": good}}}))
    lab.workplace.allow_plain_http(lab.source_registry, token_registry)
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    ran = lab.run("apply", env={"REGISTRY_AUTH_FILE": str(path)})

    assert ran.code == 0, ran.stderr
    assert token_registry.get(f"m/{lab.name}/app/manifests/1", accept=content.media_type).content == content.raw


def test_anonymous_tokens_need_no_credentials(token_registry, token_server, lab):
    """Without configuration, anonymous tokens are used."""
    push(token_registry, f"{lab.name}/app", "1", image(), client=token_registry.client(f"repository:{lab.name}/app:pull,push"))
    token_server.reset()
    lab.workplace.allow_plain_http(token_registry)
    lab.workplace.mirror("a", source=f"{token_registry}/{lab.name}/app", destinations=[f"{token_registry}/m"])

    assert lab.run("apply").code == 0
    assert {one.login for one in token_server.requests} == {None}


@pytest.mark.row("AUTH-19")
def test_declared_proxy_is_used(lab):
    """For all requests to that registry and no other; the environment's proxies are not used."""
    content = lab.push("app", "1", image())
    lab.workplace.allow_plain_http(lab.source_registry, lab.destination_registry, settings={lab.source_registry.host: {"proxy": lab.source.url}})
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{lab.destination_registry}/m"])

    ran = lab.run("apply", env={"HTTPS_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"})

    assert ran.code == 0, ran.stderr
    lab.assert_served("app", "1", content)
    assert lab.source.seen
    assert all(one.target.startswith(f"http://{lab.source_registry}/v2/") for one in lab.source.seen)
    assert ran.events("proxy.ignored") == []


@pytest.mark.row("AUTH-19")
def test_proxies_of_the_environment_are_not_used(lab):
    """A warning says where to declare a proxy."""
    lab.push("app", "1", image())
    lab.workplace.allow_plain_http(lab.source_registry, lab.destination_registry)
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{lab.destination_registry}/m"])

    ran = lab.run("apply", env={"HTTP_PROXY": lab.source.url, "ALL_PROXY": lab.source.url})

    assert ran.code == 0, ran.stderr
    assert lab.source.seen == []
    assert [event["reason"].split()[0] for event in ran.events("proxy.ignored")] == ["HTTP_PROXY"]


@pytest.mark.row("AUTH-26")
def test_tls_is_verified(lab, tls_registry):
    """A certificate of an unknown authority is refused; the error names the setting."""
    lab.workplace.allow_plain_http(lab.source_registry)
    lab.workplace.mirror("a", source=f"{tls_registry}/{lab.name}/app", destinations=[f"{lab.source_registry}/m"], retry={"attempts": 1})

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    message = ran.json["errors"][0]["message"].lower()
    assert "certificate" in message
    assert "ca" in message


@pytest.mark.parametrize("tls", ["ca", "unverified"])
def test_tls_settings_reach_the_registry(tls, lab, tls_registry):
    """With its authority declared, or with verification switched off."""
    content = push(tls_registry, f"{lab.name}/app", "1", image(), client=tls_registry.client())
    setting = {"ca": str(tls_registry.ca)} if tls == "ca" else {"verify": False}
    lab.workplace.allow_plain_http(lab.source_registry, settings={})
    lab.workplace.registries_file(json.dumps({"version": 1, "registries": {lab.source_registry.host: {"tls": False}, tls_registry.host: {"tls": setting}}}))
    lab.workplace.mirror("a", source=f"{tls_registry}/{lab.name}/app", destinations=[f"{lab.source_registry}/m"])

    ran = lab.run("apply")

    assert ran.code == 0, ran.stderr
    assert_served(lab.source_registry, f"m/{lab.name}/app", "1", content)


def test_client_certificate_is_sent(lab, authority):
    """A registry that requires a client certificate gets ours."""
    folder = lab.folder / "mutual"
    folder.mkdir()
    files = tls_files(folder, authority, client_authority=authority)
    ours = authority.issue_cert("imgsync@example.invalid")
    ours.cert_chain_pems[0].write_to_path(str(lab.folder / "client.pem"))
    ours.private_key_pem.write_to_path(str(lab.folder / "client-key.pem"))
    lab.push("app", "1", image())
    with running_registry(folder, tls=files, clients_certificate=(lab.folder / "client.pem", lab.folder / "client-key.pem")) as mutual:
        tls = {"ca": str(files.ca), "cert": str(lab.folder / "client.pem"), "key": str(lab.folder / "client-key.pem")}
        lab.workplace.registries_file(json.dumps({"version": 1, "registries": {lab.source_registry.host: {"tls": False}, mutual.host: {"tls": tls}}}))
        lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{mutual}/m"])

        ran = lab.run("apply")

        assert ran.code == 0, ran.stderr
        assert mutual.tags(f"m/{lab.name}/app") == ["1"]


def test_echoed_authorization_is_not_shown(lab, token_registry, token_server):
    """A registry that repeats our token or password does not get it printed."""
    lab.push("app", "1", image())
    with FaultProxy(token_registry) as proxy:
        proxy.add(switches.Echo(400), method="POST")
        lab.workplace.allow_plain_http(
            lab.source_registry, proxy, settings={proxy.host: {**_login(proxy.host), "token_server": token_server.auth.realm.rpartition("/")[0]}}
        )
        lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{proxy}/m"], retry={"attempts": 1})

        ran = lab.run("apply", "-o", "json")

        sent = next(one.headers["authorization"] for one in proxy.recorded("^POST"))
    assert ran.code == 1
    assert "bearer" in ran.stdout.lower(), "the registry's words are told"
    assert sent.partition(" ")[2] not in ran.stdout + ran.stderr


def test_credentials_in_a_location_or_error_are_not_shown(lab):
    """Credentials in a registry's own words are hidden."""
    lab.push("app", "1", image())
    with FaultProxy(lab.destination_registry) as proxy:
        proxy.add(switches.Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'}), nth=1)
        proxy.add(switches.Respond(400, {"errors": [{"code": "DENIED", "message": f"bad password {PASSWORD} for you"}]}), method="POST")
        lab.workplace.allow_plain_http(lab.source_registry, proxy, settings={proxy.host: _login(proxy.host)})
        lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{proxy}/m"], retry={"attempts": 1})

        ran = lab.run("apply", "-o", "json", "--log-level", "debug")

    assert ran.code == 1
    assert PASSWORD not in ran.stdout + ran.stderr


@pytest.mark.row("GIT-01")
def test_plan_without_a_login_is_not_compared(lab, password_registry):
    """It lists what it could not compare, and cannot be applied."""
    lab.push("app", "1", image())
    lab.workplace.allow_plain_http(lab.source_registry, password_registry)
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{password_registry}/m"])

    ran = lab.run("plan", "-o", "json", "--out", "plan.json")
    applied = lab.run("apply", "--plan", "plan.json")

    assert ran.code == 0, ran.stderr
    assert ran.json["changes"][0]["reason"] == "destination requires a login; not compared"
    assert ran.json["uncompared"] == [password_registry.host]
    assert ran.json["mirrors"][0]["notes"] == [f"{password_registry} was not compared: it requires a login, and no credentials are configured"]
    assert applied.code == 3
    assert "was made without comparing" in applied.stderr


def test_apply_without_a_login_is_an_error(lab, password_registry):
    """A destination that cannot be read does not count as empty."""
    lab.push("app", "1", image())
    lab.workplace.allow_plain_http(lab.source_registry, password_registry)
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{password_registry}/m"])

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert "401" in ran.json["errors"][0]["message"]
    assert password_registry.requests(prefix=f"/v2/m/{lab.name}/app/blobs/uploads") == ()


def scopes_of(authorization: str) -> list[str]:
    """Return the scopes of a token."""
    claims = authorization.split(".")[1]
    return [f"{one['name']}:{','.join(one['actions'])}" for one in json.loads(base64.urlsafe_b64decode(claims + "=="))["access"]]


@pytest.mark.row("AUTH-15")
def test_each_request_has_the_token_of_its_repository(token_registry, token_server, lab):
    """Tokens have the rights that the side needs, and no more."""
    for path in ("one", "two"):
        push(token_registry, f"{lab.name}/{path}", "1", image(path), client=token_registry.client(f"repository:{lab.name}/{path}:pull,push"))
    token_server.reset()
    with FaultProxy(token_registry) as proxy:
        server = token_server.realm.removesuffix("/token")
        lab.workplace.allow_plain_http(
            proxy, settings={proxy.host: {"token_server": server, "credentials": dict(zip(("username", "password"), LOGIN, strict=True))}}
        )
        lab.workplace.mirror("a", source={"registry": proxy.host, "repositories": [f"{lab.name}/one", f"{lab.name}/two"]}, destinations=[f"{proxy}/m"])

        ran = lab.run("apply", "-o", "json")

        assert ran.code == 0, ran.stderr
        borne = {
            (re.sub(r"^/v2/|/(manifests|blobs|tags|referrers)/.*", "", one.path), tuple(scopes_of(one.headers["authorization"])))
            for one in proxy.seen
            if "authorization" in one.headers
        }
    for path, scopes in borne:
        own = f"{path}:pull" if path.startswith(lab.name) else f"{path}:pull,push"
        assert own in scopes
        assert not [scope for scope in scopes if "*" in scope or "delete" in scope]
        # Besides, a blob may be mounted from another repository of the same destination.
        assert all(scope.startswith("m/") and scope.endswith(":pull") for scope in scopes if scope != own)
    assert {path for path, _ in borne} >= {f"{lab.name}/one", f"{lab.name}/two", f"m/{lab.name}/one", f"m/{lab.name}/two"}


_LOGIN = {"credentials": {"username": LOGIN[0], "password": LOGIN[1]}}


@pytest.mark.row("GIT-01")
def test_reading_commands_request_only_pull(lab, token_registry, token_server):
    """plan, verify, list and the state in a registry, though the login may push."""
    lab.push("app", "1", image(lab.name))
    lab.push("app", "2", image((lab.name, 2)))
    with FaultProxy(token_registry) as proxy:
        lab.workplace.allow_plain_http(lab.source_registry, proxy, settings={proxy.host: _LOGIN})
        settings = {"source": f"{lab.source_registry}/{lab.name}/app", "destinations": [f"{proxy}/m"], "prune": True}
        lab.workplace.mirror("a", **settings)
        state = f"oci://{proxy}/{lab.name}/state:1"
        assert lab.run("apply", "--state", state).code == 0
        assert any("push" in scope for one in token_server.requests for scope in one.scopes), "the harness sees what is asked for"
        lab.workplace.mirror("a", **settings, tags={"names": ["1"]})
        lab.push("app", "1", image((lab.name, "moved")))
        token_server.reset()
        proxy.forget()

        for arguments in (("plan", "--state", state), ("plan", "--refresh"), ("verify",), ("list", f"{proxy}/m/{lab.name}/app")):
            assert lab.run(*arguments).code in {0, 1}

        asked = {scope for one in token_server.requests for scope in one.scopes}
        assert {action for scope in asked for action in scope.rpartition(":")[2].split(",")} == {"pull"}
        assert {one.method for one in proxy.seen} <= {"GET", "HEAD"}


@pytest.mark.row("GIT-01")
@pytest.mark.parametrize("command", ["plan", "verify"])
def test_credentials_are_sent_only_when_required(command, lab):
    """A public registry gets no credentials, however many are configured."""
    lab.push("app", "1", image(lab.name))
    lab.workplace.allow_plain_http(lab.source, lab.destination, settings={lab.source.host: _LOGIN, lab.destination.host: _LOGIN})
    lab.workplace.mirror("a", source=f"{lab.source}/{lab.name}/app", destinations=[f"{lab.destination}/m"])

    ran = lab.run(command)

    assert ran.code in {0, 1}, ran.stderr
    assert lab.source.seen
    assert lab.destination.seen
    assert "authorization" not in {header for one in (*lab.source.seen, *lab.destination.seen) for header in one.headers}
