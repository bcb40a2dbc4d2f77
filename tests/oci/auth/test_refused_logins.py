"""A refused login or scope is not sent again; each kind of refusal has its hint."""

from __future__ import annotations

import base64
import json
import threading

import pytest

from imgsync.errors import AuthenticationError
from imgsync.oci.auth.refused_logins import RefusedLogins
from imgsync.oci.errors import Operation
from tests.support.images import image, to_json
from tests.support.logins import BASIC, CREDENTIALS, PASSWORD, USER
from tests.support.wire import plain_answer
from tests.switches import Respond, Switch

OPERATION = Operation("resolve", "r.io/a:1", "source")
ERROR = OPERATION.make_error(AuthenticationError, "the registry refused the login", status=401, hint="check it")


def declare(lab, *names: str, login: bool = True, **settings: object) -> None:
    """Declare a mirror of each of *names*, with a login at the source."""
    source = {"tls": False, **({"credentials": CREDENTIALS} if login else {}), **settings}
    lab.workplace.registries_file(json.dumps({"version": 1, "registries": {lab.source.host: source, lab.destination.host: {"tls": False}}}))
    repositories = {"registry": lab.source.host, "repositories": [f"{lab.name}/{name}" for name in names]}
    lab.workplace.mirror("a", source=repositories, destinations=[f"{lab.destination}/m"], retry={"attempts": 1})


def messages(ran) -> str:
    """Return all errors of a plan or report with their hints."""
    return " | ".join(one["message"] for one in ran.json["errors"]) if "errors" in ran.json else " | ".join(one["error"] or "" for one in ran.json["outcomes"])


@pytest.mark.row("AUTH-29")
@pytest.mark.parametrize("kind", ["basic", "token"])
def test_refused_login_is_sent_once(kind, lab):
    """Ten repositories at once, by both schemes: one request has the login."""
    names = [f"app{number}" for number in range(10)]
    for name in names:
        lab.push(name, "1", image(name))
    words = {"errors": [{"code": "UNAUTHORIZED", "message": "robot account has expired"}]}
    challenge = "Basic realm=x" if kind == "basic" else f'Bearer realm="{lab.source.url}/token",service="x"'
    lab.source.add(Respond(401, words), target="^/token")
    lab.source.add(Respond(401, words, headers={"WWW-Authenticate": challenge}), target="^/v2/")
    declare(lab, *names)

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert len([one for one in lab.source.seen if "authorization" in one.headers]) == 1
    assert len(ran.json["errors"]) == 10
    assert messages(ran).count("not sent again in this run") == 9
    assert messages(ran).count("from registries.yaml were refused") == 10
    assert PASSWORD not in ran.stdout + ran.stderr
    assert kind == "basic" or "127.0.0.1 answered 401: robot account has expired" in messages(ran)


@pytest.mark.row("AUTH-29")
def test_login_refused_by_an_api_is_sent_once(lab):
    """The API of a listing is as any other place."""
    names = [f"app{number}" for number in range(6)]
    for name in names:
        lab.push(name, "1", image(name))
    lab.source.add(Respond(401, {"errors": [{"code": "UNAUTHORIZED", "message": "no"}]}), target="^/api/")
    declare(lab, *names, listing="harbor")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["create"] == 6
    assert len([one for one in lab.source.seen if "authorization" in one.headers]) == 1


class Scoped(Switch):
    """A token server that gives or refuses tokens, before a registry that accepts some."""

    def __init__(self, url: str, *, refuses: str = "", lacks: str = "") -> None:
        """Refuse tokens for scopes with *refuses*; let tokens with *lacks* lack a right."""
        self._url, self._refuses, self._lacks = url, refuses, lacks
        self.tokens = 0

    def request(self, request):
        """Answer for both."""
        if request.path == "/token":
            self.tokens += 1
            if self._refuses and self._refuses in request.target:
                return plain_answer(403, to_json({"errors": [{"code": "DENIED", "message": "address not in the allow-list"}]}))
            return plain_answer(200, to_json({"token": "t-SECRET", "expires_in": 300}))
        more = ',error="insufficient_scope"' if self._lacks and self._lacks in request.target and request.header("authorization") else ""
        if more or not request.header("authorization"):
            challenge = f'Bearer realm="{self._url}/token",service="x"{more}'
            return plain_answer(401, to_json({"errors": [{"code": "UNAUTHORIZED", "message": "access denied"}]}), {"WWW-Authenticate": challenge})
        return request


@pytest.mark.parametrize(("kind", "hint"), [("refuses", "is accepted but does not allow this"), ("lacks", "is accepted but does not allow this")])
@pytest.mark.parametrize("login", [True, False])
def test_missing_right_is_not_a_wrong_login(kind, hint, login, lab):
    """A refused scope is remembered, and the other repository is read."""
    for name in ("good", "bad"):
        for tag in ("1", "2", "3"):
            lab.push(name, tag, image((name, tag)))
    scoped = lab.source.add(Scoped(lab.source.url, **{kind: "bad"}))
    declare(lab, "good", "bad", login=login)

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert ran.json["summary"]["create"] == 3
    assert (hint if login else "no credentials for") in messages(ran)
    assert "were refused" not in messages(ran)
    assert scoped.tokens <= 3
    if kind == "refuses":
        assert "403 DENIED: 127.0.0.1 answered 403: address not in the allow-list" in messages(ran)


@pytest.mark.parametrize("command", ["plan", "login-check", "list", "verify"])
@pytest.mark.parametrize(
    ("status", "login", "hint"),
    [
        (401, True, "from registries.yaml were refused; check username and password"),
        (401, False, "no credentials for"),
        (403, True, "is accepted but does not allow this"),
        (403, False, "no credentials for"),
    ],
)
def test_each_kind_of_refusal_has_its_hint(command, status, login, hint, lab):
    """Wrong login, missing right, no login: in every command."""
    lab.push("app", "1", image(1))
    side = lab.destination if command == "verify" else lab.source

    class Guard(Switch):
        def request(self, request):
            if status == 401 or not (request.header("authorization") or not login):
                return plain_answer(401, b"", {"WWW-Authenticate": "Basic realm=x"})
            return plain_answer(403, to_json({"errors": [{"code": "DENIED", "message": "requested access is denied"}]}))

    side.add(Guard(), target="^/v2/.+/")
    hosts = {end.host: {"tls": False, **({"credentials": CREDENTIALS} if end is side and login else {})} for end in (lab.source, lab.destination)}
    lab.workplace.registries_file(json.dumps({"version": 1, "registries": hosts}))
    lab.workplace.mirror("a", source=f"{lab.source}/{lab.name}/app", destinations=[f"{lab.destination}/m"], retry={"attempts": 1}, tags={"names": ["1"]})

    ran = lab.run(command, *([f"{lab.source.host}/{lab.name}/app"] if command == "list" else []))

    assert ran.code == 1
    assert hint in ran.stdout + ran.stderr, ran.stdout + ran.stderr


@pytest.mark.parametrize("headers", [{"WWW-Authenticate": "Negotiate"}, {"WWW-Authenticate": "=== ,"}, {}], ids=str)
@pytest.mark.parametrize("status", [401, 403])
def test_login_that_was_not_sent_is_not_called_refused(status, headers, lab):
    """Nothing is wrong with the password, and nothing is known about rights."""
    lab.push("app", "1", image(1))
    lab.source.add(Respond(status, to_json({"errors": [{"code": "DENIED"}]}), headers=headers), target="^/v2/")
    declare(lab, "app", login=True)

    ran = lab.run("plan", "-o", "json")

    assert "were not sent, because the registry did not ask for Basic or Bearer authentication" in messages(ran)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b'{"errors": [{"code": "INVALID", "message": "unknown service fake"}]}', "400 INVALID: 127.0.0.1 answered 400: unknown service fake"),
        (405, b"<h1>Method Not Allowed</h1>", 'answered 405: a web page, which is not a registry\'s response: "Method Not Allowed"'),
        (404, b"", "127.0.0.1 answered 404"),
    ],
)
def test_token_server_that_is_none_is_not_a_question_of_logins(status, body, words, lab):
    """The hint speaks of the server."""
    lab.push("app", "1", image(1))
    lab.source.add(Respond(status, body), target="^/token")
    lab.source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{lab.source.url}/token",service="x"'}), target="^/v2/")
    declare(lab, "app", login=False)

    ran = lab.run("plan", "-o", "json")

    assert words in messages(ran)
    assert "does not answer as a token server" in messages(ran)
    assert "credentials" not in messages(ran)


def test_identity_token_refused_by_oauth_is_a_wrong_login(lab):
    """RFC 6749 refuses credentials with 400."""
    lab.push("app", "1", image(1))
    lab.source.add(Respond(400, {"error": "invalid_grant", "error_description": "refresh token expired"}), target="^/token")
    lab.source.add(Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{lab.source.url}/token",service="x"'}), target="^/v2/")
    declare(lab, "app", login=False)
    auth = {"auth": base64.b64encode(f"{USER}:".encode()).decode(), "identitytoken": "identity-SECRET"}
    lab.write("docker/config.json", json.dumps({"auths": {lab.source.host: auth}}))

    ran = lab.run("plan", "-o", "json")

    assert "400 INVALID_GRANT: 127.0.0.1 answered 400: refresh token expired" in messages(ran)
    assert "were refused" in messages(ran)


def test_login_that_expires_is_doubted_then_refused():
    """One 401 after successes may concern one repository; the next caller sends the login alone."""
    logins = RefusedLogins()
    logins.accept("key")
    logins.note_refusal("key", ERROR)
    with logins.trial("key", OPERATION):
        logins.note_refusal("key", ERROR)

    with pytest.raises(AuthenticationError, match="the registry refused the login; not sent again in this run"), logins.trial("key", OPERATION):
        pytest.fail("it is not sent")
    with logins.trial("newer key", OPERATION):
        logins.accept("newer key")


@pytest.mark.row("AUTH-29")
def test_callers_wait_for_the_first_answer():
    """Eight at once send a wrong login once."""
    logins, sent, errors = RefusedLogins(), [], []
    ready = threading.Barrier(8)

    def call() -> None:
        ready.wait()
        try:
            with logins.trial("key", OPERATION):
                sent.append(1)
                logins.note_refusal("key", ERROR)
        except AuthenticationError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(sent), len(errors)) == (1, 7)


def test_basic_login_of_a_registry_works_on_both_sides(lab):
    """The memory is shared, and an accepted login is sent by all at once."""
    assert BASIC.startswith("Basic ")
    for name in ("a", "b"):
        lab.push(name, "1", image(name))

    class Guard(Switch):
        def request(self, request):
            return request if request.header("authorization") == BASIC else plain_answer(401, b"", {"WWW-Authenticate": "Basic realm=x"})

    lab.source.add(Guard())
    declare(lab, "a", "b")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert ran.json["summary"]["copied"] == 2
