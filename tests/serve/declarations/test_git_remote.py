"""Servers of git: logins, silence, and what they send elsewhere."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsync.config.git_settings import GitSettings
from imgsync.config.secrets import Secret
from imgsync.errors import ImgsyncError
from imgsync.serve.declarations.git_command import GitError, GitLimits
from tests.support.git_server import GitServer, Silent
from tests.support.workflow_scripts import program

_LOGIN = "oauth2:token-of-the-repository"
_TOKEN = _LOGIN.partition(":")[2]


@pytest.fixture
def server(repository, authority, tmp_path) -> Iterator[GitServer]:
    repository.commit()
    with GitServer(tmp_path, authority, login=_LOGIN) as running:
        yield running


@pytest.fixture
def ca(authority, tmp_path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def watch_processes(folder: Path) -> Path:
    """Return a folder with a git that notes arguments and variables of itself and its helpers."""
    real = subprocess.run(["sh", "-c", "command -v git"], capture_output=True, text=True, check=True).stdout.strip()
    watch = f"#!/bin/sh\n(tr '\\0' ' ' </proc/$$/cmdline; env) >>{folder}/seen\n"
    (folder / "bin").mkdir()
    program(folder / "bin", "git", f'{watch}exec {real} "$@"\n')
    program(folder / "bin", "cat", f'{watch}exec /bin/cat "$@"\n')
    return folder / "bin"


@pytest.mark.row("GITS-05")
@pytest.mark.parametrize("source", ["variable", "file"])
def test_token_logs_in_and_shows_nowhere(source, server, repository, follow, ca, tmp_path):
    """Neither in arguments and variables of git and its helpers, nor in a file; one in a file is read again."""
    path = watch_processes(tmp_path)
    (tmp_path / "token").write_text(f"{_TOKEN}\n")
    settings = GitSettings("oauth2", Secret(_TOKEN if source == "variable" else "old"), str(tmp_path / "token") if source == "file" else "", ca=ca)
    follower = follow(f"https://{server.host}/repository/.git", settings=settings, environ={"PATH": f"{path}:{os.environ['PATH']}"})

    assert follower.poll().config is not None
    if source == "file":
        server.login = "oauth2:another"
        (tmp_path / "token").write_text("another")
    repository.declare("two")
    repository.commit()
    assert follower.poll().config is not None

    seen = (tmp_path / "seen").read_text()
    assert "/dev/fd/" in seen
    assert _TOKEN not in seen
    assert [path for path in (tmp_path / "state").rglob("*") if path.is_file() and _TOKEN.encode() in path.read_bytes()] == []


@pytest.mark.row("GITS-05")
@pytest.mark.parametrize("password", ["wrong", ""])
def test_refused_login_is_a_fault_with_a_hint(password, server, follow, ca):
    """git asks no person."""
    settings = GitSettings("oauth2", Secret(password), ca=ca)

    with pytest.raises(GitError) as raised:
        follow(f"https://{server.host}/repository/.git", settings=settings).poll()

    assert raised.value.hint == "set a login that may read it under `serve.git` of registries.yaml"


@pytest.mark.row("GITS-05")
def test_token_follows_no_redirect(server, repository, follow, ca, authority, tmp_path):
    """The other server is not asked at all."""
    with GitServer(tmp_path, authority) as other:
        server.redirect = f"https://{other.host}"

        with pytest.raises(GitError) as raised:
            follow(f"https://{server.host}/repository/.git", settings=GitSettings("oauth2", Secret(_TOKEN), ca=ca)).poll()

        assert other.requests == []
    assert "redirects are not followed" in raised.value.hint


@pytest.mark.row("GITS-05")
def test_server_without_a_trusted_certificate_gets_no_token(server, follow):
    """The hint names the setting for certificates of one's own."""
    with pytest.raises(GitError) as raised:
        follow(f"https://{server.host}/repository/.git", settings=GitSettings("oauth2", Secret(_TOKEN))).poll()

    assert server.requests == []
    assert "serve.git.ca" in raised.value.hint


@pytest.mark.row("GITS-05")
def test_login_with_a_line_break_is_refused(follow, ca):
    """It would be more than one answer to git."""
    with pytest.raises(ImgsyncError, match="has a line break"):
        follow("https://127.0.0.1:9/x", settings=GitSettings("a", Secret("b\nhost=evil"), ca=ca)).poll()


@pytest.mark.row("GITS-02")
def test_remote_that_hangs_is_given_up(follow):
    """After its time, with every process that git started."""
    with Silent() as silent:
        began = time.monotonic()
        with pytest.raises(GitError, match=r"did not end within 0\.5s"):
            follow(f"https://{silent.host}/x", limits=GitLimits(ask_seconds=0.5)).poll()
        silent.ends.set()

    assert time.monotonic() - began < 20
    assert GitLimits().ask_seconds == 60


@pytest.mark.row("GITS-02")
def test_closed_follower_ends_its_git(repository, follow):
    """A process that ends does not wait for a network."""
    with Silent() as silent:
        follower = follow(f"https://{silent.host}/x")
        threading.Timer(0.3, follower.close).start()
        began = time.monotonic()

        with pytest.raises(GitError, match="the process ends"):
            follower.poll()
        silent.ends.set()

    assert time.monotonic() - began < 20


def test_ssh_is_called_without_any_setting_of_the_user(repository, follow, tmp_path):
    """With one key, known hosts alone, and no way to ask."""
    repository.commit()
    for name in ("key", "known hosts"):
        (tmp_path / name).write_text("x")
    (tmp_path / "bin").mkdir()
    ssh = 'printf "%s\\n" "$@" >>' + str(tmp_path / "arguments") + '\nfor last; do :; done\nexec sh -c "$last"\n'
    program(tmp_path / "bin", "ssh", f"#!/bin/sh\n{ssh}")
    settings = GitSettings(key=str(tmp_path / "key"), known_hosts=str(tmp_path / "known hosts"))
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "SSH_AUTH_SOCK": "/agent", "GIT_SSH": "/evil"}

    found = follow(f"ssh://git@git.example:2222{repository.folder}", settings=settings, environ=environ).poll()

    assert found.config is not None
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert arguments[:2] == ["-F", "/dev/null"]
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "IdentityAgent=none", f'UserKnownHostsFile="{tmp_path}/known hosts"'} <= set(
        arguments
    )
    assert arguments[arguments.index("-i") + 1] == str(tmp_path / "key")
    assert {"-p", "2222", "git@git.example"} <= set(arguments)


def test_ssh_without_a_key_is_a_fault_with_a_hint(follow):
    """Neither the keys of the user nor an agent are tried."""
    with pytest.raises(GitError) as raised:
        follow("git@git.example:x").poll()

    assert raised.value.hint == "set serve.git.ssh in registries.yaml"
