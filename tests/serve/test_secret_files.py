"""Secrets in files may change at any time: mounted Secrets, and tokens that expire."""

from __future__ import annotations

import pytest

from tests.support.serving import Serving

_OLD, _NEW = "an-old-token-0123456789abcdef0123456789", "a-new-token-0123456789abcdef0123456789"


@pytest.mark.parametrize("mode", ["folder", "git"])
def test_changed_secret_file_is_read_again(mode, lab, tmp_path):
    """Although registries.yaml, which names it, did not change; a broken one keeps what was read before."""
    lab.declare("app", "suspend: true")
    token = tmp_path / "token"
    token.write_text(f"{_OLD}\n")
    with (lab.folder / "registries.yaml").open("a") as file:
        file.write(f"serve: {{token: {{file: '{token}'}}}}\n")
    options = make_repository(lab, tmp_path) if mode == "git" else []

    with Serving(lab.workplace, *options) as serving:

        def ask(secret: str) -> int:
            return serving.post("/api/v1/reconcile", headers={"Authorization": f"Bearer {secret}"}).status_code

        serving.wait_for("declarations.loaded")
        assert (ask(_OLD), ask(_NEW)) == (202, 401)
        token.write_text("short")
        serving.wait_for("declarations.invalid")
        assert ask(_OLD) == 202
        token.write_text(f"{_NEW}\n")
        serving.wait_for("declarations.loaded", times=2)
        assert (ask(_OLD), ask(_NEW)) == (401, 202)


def make_repository(lab, tmp_path) -> list[str]:
    """Commit the declarations of the lab; return the options that follow them."""
    import shutil
    import subprocess

    work = tmp_path / "work"
    work.mkdir()
    shutil.copytree(lab.folder / "mirrors.d", work / "mirrors.d")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a"]):
        subprocess.run(["git", *words], cwd=work, check=True, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    return ["--git", f"file://{work}", "--git-interval", "1s"]
