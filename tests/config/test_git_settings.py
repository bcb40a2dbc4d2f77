"""The login for `serve --git`, in registries.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from imgsync.config.git_settings import GitSettings
from imgsync.config.load import load_registries
from imgsync.errors import ConfigError


@pytest.fixture
def read(tmp_path) -> Callable[[Any], GitSettings]:
    def load(git: Any, **environ: str) -> GitSettings:
        (tmp_path / "registries.yaml").write_text(json.dumps({"version": 1, "serve": {"git": git}}))
        return load_registries(str(tmp_path / "registries.yaml"), environ).serve.git

    return load


def test_token_is_in_a_variable_or_a_file(read, tmp_path):
    """The file is named too, since it is read again."""
    (tmp_path / "token").write_text("from-the-file\n")
    written = read({"credentials": {"username": "oauth2", "password": "${GIT_TOKEN}"}}, GIT_TOKEN="from-a-variable")
    in_file = read({"credentials": {"username": "oauth2", "password": {"file": str(tmp_path / "token")}}})

    assert (written.username, written.password.reveal(), written.password_file) == ("oauth2", "from-a-variable", "")
    assert (in_file.password.reveal(), in_file.password_file) == ("from-the-file", str(tmp_path / "token"))
    assert "from" not in f"{written}{in_file}".replace(str(tmp_path), "")


def test_files_of_tls_and_ssh_are_there(read, tmp_path):
    """None of them is read yet."""
    for name in ("ca", "key", "known_hosts"):
        (tmp_path / name).touch()

    found = read({"ca": f"{tmp_path}/ca", "ssh": {"key": f"{tmp_path}/key", "known_hosts": f"{tmp_path}/known_hosts"}})

    assert found == GitSettings(ca=f"{tmp_path}/ca", key=f"{tmp_path}/key", known_hosts=f"{tmp_path}/known_hosts")
    assert read({}) == GitSettings()


@pytest.mark.parametrize(
    ("git", "said"),
    [
        ({"ca": "/missing.pem"}, "serve.git.ca: no such file"),
        ({"ssh": {"key": "/missing", "known_hosts": "/dev/null"}}, "serve.git.ssh.key: no such file"),
        ({"ssh": {"key": '/tmp/a"b', "known_hosts": "/missing"}}, "serve.git.ssh.key: the path has a quote"),
        ({"ssh": {"key": "/tmp/%h", "known_hosts": "/missing"}}, "a percent sign"),
        ({"ssh": {"key": "/tmp/x"}}, "known_hosts"),
        ({"credentials": {"username": "a"}}, "password"),
        ({"credentials": {"username": "a", "password": {"file": "/missing"}}}, "cannot read the password file: No such file"),
        ({"token": "x"}, "serve.git"),
    ],
)
def test_wrong_settings_are_reported_at_their_place(git, said, read):
    """Without what is secret in them."""
    with pytest.raises(ConfigError) as raised:
        read(git)

    assert said in str(raised.value)
