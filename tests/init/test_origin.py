"""CI installs the imgsync that wrote its files."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
import yaml
from packaging.requirements import Requirement

from imgsync.init import render_files as module
from imgsync.init.origin import Origin, parse_origin
from imgsync.init.render_files import render_files
from imgsync.init.write_files import write_files
from tests.support import linters

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def noted(url: object, **vcs: object) -> str:
    """Return a direct_url.json of an installation from git."""
    return json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": COMMIT} | vcs})


def test_imgsync_from_git_is_installed_from_its_commit():
    """As pip notes it for `pip install git+https://…`."""
    origin = parse_origin(noted("https://git.example.com/company/imgsync.git"))

    assert origin.requirement == f"imgsync-mirror @ git+https://git.example.com/company/imgsync.git@{COMMIT}"
    assert origin.action == ""


@pytest.mark.parametrize("url", ["https://github.com/company/imgsync", "https://github.com/company/imgsync.git"])
def test_imgsync_from_github_is_an_action(url):
    """The action is in the same repository."""
    assert parse_origin(noted(url)).action == f"company/imgsync@{COMMIT}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        json.dumps({"url": "file:///home/me/imgsync", "dir_info": {"editable": True}}),
        json.dumps({"url": "https://files.example.com/imgsync_mirror.whl", "archive_info": {}}),
        noted("https://me:secret@git.example.com/company/imgsync"),
        noted("ssh://git@git.example.com/company/imgsync"),
        noted("https://git.example.com/company/imgsync\n--index-url https://evil.example"),
        noted(7),
        noted("https://git.example.com/company/imgsync", commit_id="main"),
        noted("https://git.example.com/company/imgsync", commit_id=None),
    ],
    ids=["PyPI", "damaged", "another form", "a clone", "a wheel", "a login", "a key", "more lines", "no text", "a branch", "no commit"],
)
def test_any_other_origin_is_to_be_filled_in(text):
    """Nothing that only this machine has, no secret, and nothing that someone else could register."""
    assert parse_origin(text) == Origin()
    assert urlsplit(Requirement(Origin().requirement).url).path == "/<OWNER>/imgsync@<COMMIT>"


def test_workflow_uses_the_action_of_a_github_repository(tmp_path, monkeypatch):
    """Each job installs by it, and the linters accept the file."""
    monkeypatch.setattr(module, "find_origin", lambda: parse_origin(noted("https://github.com/company/imgsync")))
    write_files(tmp_path, render_files("r.io/m", ci=["github"]), missing_only=False)
    file = tmp_path / ".github/workflows/mirror.yml"

    jobs = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
    used = {name: [step["with"] for step in job["steps"] if step.get("uses") == f"company/imgsync@{COMMIT}"] for name, job in jobs.items()}
    assert used == {"plan": [{"command": ""}], "apply": [{"command": ""}], "verify": [{"command": ""}]}
    assert "pip install" not in file.read_text(encoding="utf-8")
    for check in (linters.yaml_is_tidy, linters.fits("vendor.github-workflows"), linters.is_secure, linters.shell_is_sound):
        check(file)
