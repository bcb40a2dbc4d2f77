"""A login that expires during a run is renewed for every request that had it."""

from __future__ import annotations

import base64
import json
import os
import threading
from types import SimpleNamespace

import pytest

from imgsync.oci.auth.authenticator import Authenticator
from imgsync.oci.auth.refused_logins import RefusedLogins
from imgsync.oci.endpoint import Credentials
from imgsync.oci.errors import Operation
from tests.support.images import image, to_json
from tests.support.wire import plain_answer
from tests.switches import Switch

OLD, NEW, NEVER = (f"Basic {base64.b64encode(f'me:{password}-SECRET'.encode()).decode()}" for password in ("v1", "v2", "v3"))
NAMES = [f"app{number}" for number in range(6)]


class Expiring(Switch):
    """A registry or token server whose first password has expired; by Basic it still lists tags."""

    def __init__(self, *, realm: str = "", accepts: str = NEW) -> None:
        """Accept only what *accepts* says; tokens come from *realm*."""
        self._realm, self._accepts = realm, accepts
        self._all_have_come = threading.Barrier(len(NAMES), timeout=20)

    def request(self, request):
        """Refuse the old password: by Basic once all have sent it."""
        login = request.header("authorization")
        if request.path == "/token":
            return plain_answer(200, to_json({"token": "t-SECRET", "expires_in": 300})) if login == self._accepts else plain_answer(401, b"{}")
        if login == (self._accepts if not self._realm else "Bearer t-SECRET"):
            return request
        if login == OLD:
            if "/tags/list" in request.target:
                return request
            self._all_have_come.wait()
        challenge = f'Bearer realm="{self._realm}",service="x"' if self._realm else "Basic realm=x"
        return plain_answer(401, b"", {"WWW-Authenticate": challenge})


@pytest.fixture
def run_with_helper(lab):
    """Plan six repositories at once; the helper gives v1 first, and v2 from then on."""
    for name in NAMES:
        lab.push(name, "1", image(name))
    asked = lab.folder / "asked"
    program = lab.folder / "bin" / "docker-credential-test"
    program.parent.mkdir()
    answer = '{"Username":"me","Secret":"v%s-SECRET"}\\n'
    program.write_text(f"#!/bin/sh\necho asked >> {asked}\nsleep 0.2\nprintf '{answer}' $(test $(wc -l < {asked}) = 1 && echo 1 || echo 2)\n")
    program.chmod(0o755)
    lab.write("docker/config.json", json.dumps({"credHelpers": {lab.source.host: "test"}}))
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    source = {"registry": lab.source.host, "repositories": [f"{lab.name}/{name}" for name in NAMES]}
    # Held images are resolved by HEAD, all at once; the first pulls are sent one at a time.
    lab.workplace.mirror("a", source=source, destinations=[f"{lab.destination}/m"], retry={"attempts": 1}, tags={"min_age": "1d"})

    def run():
        ran = lab.run("plan", "-o", "json", env={"PATH": f"{program.parent}:{os.environ['PATH']}"})
        return ran, asked.read_text().count("asked")

    return run


@pytest.mark.row("AUTH-29")
@pytest.mark.parametrize("kind", ["basic", "token"])
def test_expired_login_is_renewed_for_all_at_once(kind, lab, run_with_helper):
    """Six requests are refused at the same moment: the helper is asked once more, and all are sent again."""
    lab.source.add(Expiring(realm="" if kind == "basic" else f"{lab.source.url}/token"), target="^/v2/|^/token")

    ran, asked = run_with_helper()

    assert ran.code == 0, ran.stdout + ran.stderr
    assert ran.json["summary"]["hold"] == len(NAMES)
    assert asked == 2
    assert "-SECRET" not in ran.stdout + ran.stderr


@pytest.mark.row("AUTH-29")
@pytest.mark.parametrize("kind", ["basic", "token"])
def test_renewed_login_that_is_refused_too_is_sent_once(kind, lab, run_with_helper):
    """The helper is not asked again for each request, and the account is not locked."""
    lab.source.add(Expiring(realm="" if kind == "basic" else f"{lab.source.url}/token", accepts=NEVER), target="^/v2/|^/token")

    ran, asked = run_with_helper()

    assert ran.code == 1
    assert len(ran.json["errors"]) == len(NAMES)
    assert asked == 2
    assert len([one for one in lab.source.seen if one.headers.get("authorization") == NEW]) == 1


class Helper:
    """A helper that gives another login each time it is asked again."""

    def __init__(self) -> None:
        self.answers = 0

    def find(self, _path: str, *, renew: bool = False) -> Credentials:
        if renew or not self.answers:
            self.answers += 1
        return Credentials("me", f"v{self.answers}", renewable=True)

    @property
    def header(self) -> str:
        """The header with its last answer."""
        return f"Basic {base64.b64encode(f'me:v{max(1, self.answers)}'.encode()).decode()}"


@pytest.mark.row("AUTH-29")
def test_ever_new_wrong_logins_are_not_asked_for():
    """A helper is asked again once, not for each request, until the registry accepts what it gave."""
    helper, logins = Helper(), RefusedLogins()
    endpoint = SimpleNamespace(credentials=helper, redaction=SimpleNamespace(hide=lambda _: None))
    authenticator = Authenticator(endpoint, None, logins)

    def refuse() -> None:
        authenticator.has_better_login(["repository:app:pull"], sent=helper.header, operation=Operation("pull", "app", "source"))

    for _ in range(6):
        refuse()
    assert helper.answers == 2

    logins.accept(helper.header)
    for _ in range(6):
        refuse()
    assert helper.answers == 3
