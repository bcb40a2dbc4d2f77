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
    base = layer(("base", lab.name), 20_000)
    answers = {
        "not-known": switches.status(404),
        "not-there": switches.status(405),
        "denied": switches.status(403),
        "unauthorized": switches.status(401),
        "broken": switches.status(500),
        "without-location": Respond(202),
        "bad-location": Respond(202, headers={"Location": "/v2/a b"}),
        "session": switches.refuse_mount(),
    }
    contents = {path: lab.push(path, "1", image((lab.name, path), shared=base)) for path in ("first", *answers)}
    for path, switch in answers.items():
        lab.destination.add(switch, method="POST", target=f"{lab.name}/{path}/.*mount=")
    # The first image brings the layer that the others try to mount.
    lab.declare("first", "referrers: false")
    assert lab.run("apply").code == 0
    lab.declare(contents, "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    for path, content in contents.items():
        lab.assert_served(path, "1", content)
        assert len(lab.destination.requests(f"PUT .*{lab.name}/{path}/blobs/uploads/")) == len(content.all_blobs), path
        assert bool(lab.destination.recorded(f"^POST .*{lab.name}/{path}/.*mount=")) == (path != "first"), path
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
