"""Credential helpers: the protocol, and helpers that misbehave."""

from __future__ import annotations

import os
import stat
import time
import tracemalloc
from pathlib import Path

import pytest

from imgsync.errors import CredentialsError
from imgsync.oci.auth.credential_helper import ask_helper
from imgsync.oci.endpoint import Credentials
from tests.support.canary import secrets_in


@pytest.mark.row("AUTH-23")
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sleep 60 & sleep 60", "did not answer within 0.5s"),
        ("setsid sleep 5 & sleep 60", "did not answer within 0.5s"),
        ("exec 1>&-; sleep 60", "did not answer within 0.5s"),
        ("yes flood-SECRET", "printed more than 64 KiB"),
        ("yes flood-SECRET | head -c 1000000; exit 1", "printed more than 64 KiB"),
        ("echo '<html>word-SECRET</html>'", "printed no credentials"),
        ("exec 0<&-; sleep 0.1; echo '{}'", "printed no credentials"),
        ("kill -9 $$", "failed with exit code -9"),
    ],
    ids=["hangs", "leaves its session", "closes its output", "floods", "floods and ends", "HTML", "reads nothing", "is killed"],
)
def test_misbehaving_helper_is_ended_in_time(body, says, tmp_path, monkeypatch):
    """With little memory, and no process of its session is left."""
    program = tmp_path / "docker-credential-test"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began = time.monotonic()
    tracemalloc.start()

    with pytest.raises(CredentialsError, match=says) as caught:
        ask_helper("test", "r.io", timeout_seconds=0.5)

    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.monotonic() - began < 4
    assert most < 4 << 20
    assert secrets_in(f"{caught.value} {caught.value.hint}") == []
    session = int((tmp_path / "pid").read_text())
    while lives(session):
        assert time.monotonic() - began < 10, "something of it still runs"


def lives(session: int) -> bool:
    """Return whether a process of the session runs; zombies do not count."""
    stats = [read_stat(path).rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
    return any(int(fields[3]) == session and fields[0] not in "ZX" for fields in stats if fields)


def read_stat(path: Path) -> str:
    """Return the line of the process, empty when it ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Install docker-credential-test with a body of shell."""

    def install(body: str) -> None:
        program = tmp_path / "bin" / "docker-credential-test"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return install


def test_helper_is_run_by_the_protocol(helper, tmp_path):
    """`get` with the server on stdin; Docker Hub by docker's name for it."""
    helper(f'read server; echo "$1 $server" >> {tmp_path}/asked; echo \'{{"ServerURL":"x","Username":"me","Secret":"s3cret"}}\'')

    assert ask_helper("test", "r.io:5000") == Credentials("me", "s3cret", "docker-credential-test", renewable=True)
    ask_helper("test", "docker.io")

    assert (tmp_path / "asked").read_text().splitlines() == ["get r.io:5000", "get https://index.docker.io/v1/"]


def test_helper_may_give_an_identity_token_or_know_nothing(helper):
    """`<token>` marks an identity token; "credentials not found" is not an error."""
    helper('echo \'{"Username":"<token>","Secret":"refresh"}\'')
    assert ask_helper("test", "r.io").identity_token
    helper("echo credentials not found in native keychain; exit 1")
    assert ask_helper("test", "r.io") is None
    helper('echo \'{"Username":"","Secret":""}\'')
    assert ask_helper("test", "r.io") is None


@pytest.mark.row("AUTH-23")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("sleep 60 & sleep 60", "did not answer within 0.5s"),
        ("echo SECRET", "printed no credentials"),
        ('echo \'{"Username": 5, "Secret": "SECRET"}\'', "printed no credentials"),
        ("echo SECRET; exit 3", "failed with exit code 3"),
    ],
    ids=["hangs", "garbage", "wrong types", "fails"],
)
def test_failing_helper_is_an_error_without_its_output(body, message, helper):
    """Its output may be a secret."""
    helper(body)

    with pytest.raises(CredentialsError, match=message) as caught:
        ask_helper("test", "r.io", timeout_seconds=0.5)
    assert "SECRET" not in caught.value.message + caught.value.hint


@pytest.mark.row("AUTH-23")
@pytest.mark.parametrize("name", ["missing-one", "../../bin/sh", "a b", ""])
def test_helper_that_is_missing_or_misnamed_is_an_error(name):
    """A helper's name is never a path."""
    with pytest.raises(CredentialsError):
        ask_helper(name, "r.io")
