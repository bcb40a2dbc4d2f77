"""Name the imgsync that CI is to install: the one that runs."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import urlsplit

import imgsync

_PACKAGE = "imgsync-mirror"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def find_requirement() -> str:
    """
    Return what pip installs to get this imgsync.

    The commit, if it was installed from git; else its version on PyPI. Spec: PEP 610.
    """
    return _read_origin(_find_origin()) or f"{_PACKAGE}=={imgsync.__version__}"


def _find_origin() -> str:
    """Return where pip has got imgsync from, "" if pip does not know."""
    try:
        return distribution(_PACKAGE).read_text("direct_url.json") or ""
    except PackageNotFoundError:
        return ""


def _read_origin(text: str) -> str:
    """Return a requirement for a commit in git, "" for any other origin."""
    try:
        origin = json.loads(text)
        url, commit = origin["url"], origin["vcs_info"]["commit_id"]
    except (ValueError, KeyError, TypeError):
        return ""
    # A login in the URL must not get into a file that is shared.
    if not (_COMMIT.fullmatch(commit) and url.startswith("https://") and "@" not in urlsplit(url).netloc):
        return ""
    return f"{_PACKAGE} @ git+{url}@{commit}"
