"""Mounting blobs from another repository."""

from __future__ import annotations

import re

import pytest

from tests import switches
from tests.support.images import digest_of, image, layer
from tests.support.uploads import sent, sessions
from tests.switches import Respond


@pytest.mark.row("REG-10", "REG-11")
def test_mount_that_fails_becomes_one_upload(lab):
    """For any response the blob is uploaded once, and no session is left open."""
    refusals = {"not-known": 404, "not-there": 405, "denied": 403, "unauthorized": 401, "broken": 500}
    contents = {}
    for path, code in refusals.items():
        contents[path] = lab.push(path, "1", image(path))
        lab.destination.add(switches.status(code), method="POST", target=f"{lab.name}/{path}/.*mount=")
    contents["session"] = lab.push("session", "1", image("session"))
    lab.destination.add(switches.refuse_mount(), method="POST", target=f"{lab.name}/session/")
    lab.declare(contents, "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for path, content in contents.items():
        lab.assert_served(path, "1", content)
        assert len(lab.destination.requests(f"PUT .*{lab.name}/{path}/blobs/uploads/")) == len(content.all_blobs), path
        assert sessions(lab.destination_registry, f"m/{lab.name}/{path}") == [], path


@pytest.mark.row("REG-11")
def test_mount_requests_pull_for_the_other_repository(lab):
    """If the token is refused, the blob is uploaded."""
    base = layer(("leave", lab.name), 20_000)
    contents = {path: lab.push(path, "1", image((lab.name, path), layers=1, shared=base)) for path in ("one", "two")}
    challenge = f'Bearer realm="{lab.destination.url}/token",service="x"'
    lab.destination.add(Respond(401, headers={"WWW-Authenticate": challenge}), method="POST", target=f"mount={digest_of(base)}&from=m/{lab.name}/", nth=(1, 2))
    lab.destination.add(Respond(200, {"token": "net-SECRET", "expires_in": 300}), target="^/token")
    lab.destination.add(switches.require_authorization("Bearer net-SECRET", challenge), target="^/v2/")
    lab.declare("one two", "referrers: false\nconcurrency: {images: 1, blobs: 1}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    scopes = [dict(re.findall(r"repository%3Am%2F\w+%2F(\w+)%3A([a-z%2C]+)", one.target)) for one in lab.destination.recorded("^GET /token")]
    assert [sorted(one.values()) for one in scopes if len(one) == 2] == [["pull", "pull%2Cpush"]] * 2
    assert sent(lab.destination, digest_of(base)) == 2 * len(base)
    for path, content in contents.items():
        lab.assert_served(path, "1", content)
