"""`validate --show`."""

from __future__ import annotations

from imgsync.config.load import load_config
from imgsync.config.show import show_config

HEAD = "version: 1\nmirrors:\n  - name: a\n"


GOOD = HEAD + "    source: registry.k8s.io/pause\n    destinations: [r.example.com/m]\n"


def test_show_fills_in_defaults_and_hides_secrets(tmp_path):
    """`validate --show` prints effective settings without credentials."""
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "t").write_text("version: 1\nregistries: {r.example.com: {credentials: {username: SECRETUSER, password: SECRETPASS}}}\n")

    shown = show_config(load_config([str(tmp_path)], registries=str(tmp_path / "t"), environ={}))

    assert "request: 30s" in shown
    assert "SECRET" not in shown


def test_show_names_files_of_the_git_login_and_hides_the_rest(tmp_path):
    """What `serve --git` logs in with is a part of the effective settings."""
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "key").write_text("SECRET")
    git = f"{{credentials: {{username: SECRETUSER, password: SECRETPASS}}, ssh: {{key: {tmp_path}/key, known_hosts: {tmp_path}/key}}}}"
    (tmp_path / "t").write_text(f"version: 1\nserve: {{git: {git}}}\n")

    shown = show_config(load_config([str(tmp_path)], registries=str(tmp_path / "t"), environ={}))

    assert f"key: {tmp_path}/key" in shown
    assert "username: '***'" in shown
    assert "SECRET" not in shown
