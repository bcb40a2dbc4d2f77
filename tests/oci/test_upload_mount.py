"""Mounting blobs from another repository."""

from __future__ import annotations

import re

import pytest

from tests import switches
from tests.support.images import digest_of, image, layer, push
from tests.support.uploads import sent, sessions
from tests.support.witness import assert_served
from tests.switches import Respond


@pytest.mark.row("REG-10", "REG-11")
def test_mount_that_fails_becomes_one_upload(registry, second_registry, name, declare, imgsync, destination):
    """Whatever a registry answers to a mount, the blob is uploaded, once; no session is left open."""
    refusals = {"not-known": 404, "not-there": 405, "denied": 403, "unauthorized": 401, "broken": 500}
    contents = {}
    for path, code in refusals.items():
        contents[path] = push(registry, f"{name}/{path}", "1", image(path))
        destination.add(switches.status(code), method="POST", target=f"{name}/{path}/.*mount=")
    contents["session"] = push(registry, f"{name}/session", "1", image("session"))
    destination.add(switches.refuse_mount(), method="POST", target=f"{name}/session/")
    declare(f"[{', '.join(f'{name}/{path}' for path in contents)}]", "referrers: false")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for path, content in contents.items():
        assert_served(second_registry, f"m/{name}/{path}", "1", content)
        assert len(destination.requests(f"PUT .*{name}/{path}/blobs/uploads/")) == len(content.all_blobs), path
        assert sessions(second_registry, f"m/{name}/{path}") == [], path


@pytest.mark.row("REG-11")
def test_mount_asks_for_leave_to_pull_there_and_does_without(registry, second_registry, name, declare, imgsync, destination):
    """The token for a mount covers the repository that is mounted from; where that is refused the blob is sent."""
    base = layer(("leave", name), 20_000)
    contents = {path: push(registry, f"{name}/{path}", "1", image((name, path), layers=1, shared=base)) for path in ("one", "two")}
    challenge = f'Bearer realm="{destination.url}/token",service="x"'
    destination.add(Respond(401, headers={"WWW-Authenticate": challenge}), method="POST", target=f"mount={digest_of(base)}&from=m/{name}/", nth=(2, 3))
    destination.add(Respond(200, {"token": "net-SECRET", "expires_in": 300}), target="^/token")
    destination.add(switches.require_authorization("Bearer net-SECRET", challenge), target="^/v2/")
    declare(f"[{name}/one, {name}/two]", "referrers: false\nconcurrency: {images: 1, blobs: 1}")

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    scopes = [dict(re.findall(r"repository%3Am%2F\w+%2F(\w+)%3A([a-z%2C]+)", one.target)) for one in destination.recorded("^GET /token")]
    assert [sorted(one.values()) for one in scopes if len(one) == 2] == [["pull", "pull%2Cpush"]] * 2
    assert sent(destination, digest_of(base)) == 2 * len(base)
    for path, content in contents.items():
        assert_served(second_registry, f"m/{name}/{path}", "1", content)
