"""What a new repository installs: the imgsync that wrote it."""

from __future__ import annotations

import json

import pytest

import imgsync
from imgsync.init import requirement

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def origin(url: str, **vcs: str) -> str:
    return json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": COMMIT} | vcs})


def test_imgsync_from_git_is_installed_from_its_commit(monkeypatch):
    """As pip notes it for `pip install git+https://…`."""
    monkeypatch.setattr(requirement, "_find_origin", lambda: origin("https://git.example.com/company/imgsync.git"))

    assert requirement.find_requirement() == f"imgsync-mirror @ git+https://git.example.com/company/imgsync.git@{COMMIT}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        json.dumps({"url": "file:///home/me/imgsync", "dir_info": {"editable": True}}),
        json.dumps({"url": "https://files.example.com/imgsync_mirror.whl", "archive_info": {}}),
        origin("https://me:secret@git.example.com/company/imgsync"),
        origin("ssh://git@git.example.com/company/imgsync"),
        origin("https://git.example.com/company/imgsync", commit_id="main\n--index-url https://evil.example"),
    ],
    ids=["PyPI", "damaged", "another form", "a clone", "a wheel", "a login", "a key", "no commit"],
)
def test_any_other_imgsync_is_named_by_its_version(text, monkeypatch):
    """Nothing that only this machine has, and no secret."""
    monkeypatch.setattr(requirement, "_find_origin", lambda: text)

    assert requirement.find_requirement() == f"imgsync-mirror=={imgsync.__version__}"
