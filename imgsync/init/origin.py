"""Find where imgsync was installed from, so that CI installs it too."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import urlsplit

from imgsync.system.dataclass import dataclass

_PACKAGE = "imgsync-mirror"
# No account and no branch can have these names, so that nothing is installed until they are filled in.
_TO_FILL_IN = f"{_PACKAGE} @ git+https://github.com/<OWNER>/imgsync@<COMMIT>"
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?")


@dataclass(frozen=True, slots=True)
class Origin:
    """A commit in a git repository, "" if unknown."""

    url: str = ""
    commit: str = ""

    @property
    def is_git(self) -> bool:
        """Return whether it is a commit in git."""
        return bool(self.url)

    @property
    def requirement(self) -> str:
        """Return the line for pip, or the one to fill in."""
        return f"{_PACKAGE} @ git+{self.url}@{self.commit}" if self.is_git else _TO_FILL_IN

    @property
    def action(self) -> str:
        """Return the GitHub action at this commit, "" outside of GitHub."""
        repository = _GITHUB.fullmatch(self.url)
        return f"{repository[1]}@{self.commit}" if repository else ""


def find_origin() -> Origin:
    """Return where pip got imgsync from. Spec: PEP 610."""
    try:
        return parse_origin(distribution(_PACKAGE).read_text("direct_url.json") or "")
    except PackageNotFoundError:
        return Origin()


def parse_origin(text: str) -> Origin:
    """Return the commit in a direct_url.json, if others can reach it."""
    try:
        origin = json.loads(text)
        url, commit = origin["url"], origin["vcs_info"]["commit_id"]
    except (ValueError, KeyError, TypeError):
        return Origin()
    # A login in the URL must not get into a file that is shared.
    is_public = isinstance(url, str) and re.fullmatch(r"https://[\w./:-]+", url) is not None and "@" not in urlsplit(url).netloc
    return Origin(url, commit) if is_public and isinstance(commit, str) and _COMMIT.fullmatch(commit) else Origin()
