"""The canary finds credentials in any form, and nothing else."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import httpx
import pytest

from tests.support.canary import CANARY, run_watched, secrets_in
from tests.support.images import image
from tests.support.registry_process import LOGIN
from tests.support.run_imgsync import finish

# A tag is shown everywhere: in the plan, in logs, in the state.
TAG = "1-SECRET"


def _basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "said",
    [
        "you sent pass-SECRET",
        "SECRET-key",
        quote("a/b+c-SECRET", safe=""),
        f"Basic {_basic('me', 'pass-SECRET')}",
        f"Basic {_basic('you', 'p-SECRET')}=",
        f"Basic {_basic('user', 'some-SECRET-more')}",
        _basic(*LOGIN),
        LOGIN[1],
        b"\x00\xff" + LOGIN[1].encode(),
    ],
)
def test_every_form_of_a_credential_is_found(said):
    """Plain, percent-encoded, in base64 at any offset, among binary data."""
    assert secrets_in(said)


def test_tokens_of_the_token_server_are_found(token_server):
    """All have the same beginning."""
    assert secrets_in(f"Bearer {token_server.issue(['repository:a:pull'])}")


def test_text_without_a_credential_is_accepted():
    """The word alone, a digest, a name in base64."""
    assert secrets_in(f"AWS_SECRET_ACCESS_KEY secret sha256:{'a' * 64} {_basic('robot', '')}") == []


@pytest.fixture
def leaking(lab):
    """Declare a mirror of a tag that looks like a secret."""
    lab.push("app", TAG, image(1))
    lab.declare("app", "concurrency: {images: 1}")


def test_output_and_files_of_a_run_are_searched(leaking, lab):
    """stdout, log, state, plan and report; inputs are not."""
    (lab.folder / "input.txt").write_text("input-SECRET")
    lab.run("plan", "--out", "plan.json")
    lab.run("apply", "--report", "report.html")
    (lab.folder / "later.txt").write_text("later-SECRET")

    leaks = "\n".join(CANARY.leaks())

    for place in ("stdout of plan", "stderr of apply", "plan.json, left by plan", "report.html, left by apply", ".imgsync/state/"):
        assert place in leaks
    assert "input.txt" not in leaks
    assert "later.txt" not in leaks
    assert CANARY.leaks() == [], "each is told once"


@pytest.mark.parametrize("read", ["in part", "not at all"])
def test_unread_output_is_searched(read, leaking, lab):
    """Also of a killed run."""
    process = lab.start("plan", "--log-level", "debug")
    if read == "in part":
        assert process.stdout.readline()
        process.kill()
        finish(process)
    else:
        process.wait(30)

    assert any(leak.startswith("stdout of plan") for leak in CANARY.leaks())


def test_output_and_files_of_scripts_are_searched(tmp_path):
    """Only files that they wrote."""
    (tmp_path / "input").write_text("input-SECRET")
    (tmp_path / "changed").write_text("input-SECRET")
    script = f"echo more >> changed; echo {_basic('me', 'output-SECRET')} > made; echo printed-SECRET >&2"

    run_watched(["sh", "-c", script], cwd=tmp_path, env={})

    leaks = CANARY.leaks()
    assert {leak.partition(",")[0] for leak in leaks[:-1]} == {str(tmp_path / "changed"), str(tmp_path / "made")}
    assert leaks[-1].startswith("sh -c")


@pytest.mark.parametrize("header", ["authorization", "cookie", "x-other"])
def test_requests_to_another_host_are_searched(header, lab):
    """No secret and no login may be in a path or header, even after `forget`."""
    httpx.get(f"{lab.other_host.url}/v2/", headers={header: "a-SECRET" if header == "x-other" else "anything"}, trust_env=False)
    lab.other_host.forget()
    httpx.get(f"{lab.other_host.url}/v2/{_basic('me', 'path-SECRET')}", trust_env=False)

    leaks = CANARY.leaks()

    assert len([leak for leak in leaks if leak.startswith(f"the foreign host {lab.other_host.host} was sent")]) == len(leaks) == 2


@pytest.mark.parametrize("where", ["registries.yaml", "docker/config.json"])
def test_password_of_another_host_is_searched_for(where, lab):
    """A password of one registry may not be sent to another at the same address."""
    lab.declare("app")
    password = "not shaped like the others"
    if where == "registries.yaml":
        trusted = {lab.source.host: {"tls": False, "credentials": {"username": "me", "password": "${WORD}"}}, lab.destination.host: {"tls": False}}
        lab.write(where, json.dumps({"version": 1, "registries": trusted}))
    else:
        lab.write(where, json.dumps({"auths": {lab.source.host: {"auth": _basic("me", password)}}}))
    lab.run("plan", env={"WORD": password})
    for proxy in (lab.source, lab.destination):
        httpx.get(f"{proxy.url}/v2/", auth=("me", password), trust_env=False)

    assert CANARY.leaks() == [f"{lab.destination.host} was sent the password of {lab.source.host}: {password!r}"]
