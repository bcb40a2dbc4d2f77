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
