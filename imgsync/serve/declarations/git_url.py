"""Check the address of a git repository, its branch and paths."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from imgsync.errors import UsageError
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import parse_url
from imgsync.system.dataclass import dataclass

# HOST:PATH as of ssh, with or without a user. A path has a slash before any colon.
_SHORT_SSH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!/)[^\s]+")
_LONG_SSH = re.compile(r"ssh://(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/[^\s]+")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,250}")
_FORMS = "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH, or file:///PATH"
_LOGIN = "put the login under `serve.git` of registries.yaml: there it shows in no list of processes"


@dataclass(frozen=True, slots=True)
class GitUrl:
    """An address, and the only protocol that git may use."""

    text: str
    protocol: str

    @property
    def server(self) -> str:
        """Return scheme, host and port of an https URL."""
        return "/".join(self.text.split("/")[:3])


def parse_git_url(text: str) -> GitUrl:
    """
    Return the address *text*.

    Raises:
        UsageError: It is none, has a password, or another protocol.
    """
    if not text.isprintable() or not text.isascii() or text.startswith("-"):
        raise UsageError("--git: the address has characters that no URL has", hint=_FORMS)
    if text.startswith("https://"):
        return GitUrl(_check_https(text), "https")
    if text.startswith("file:///"):
        return GitUrl(text, "file")
    if "://" not in text and "::" not in text and _SHORT_SSH.fullmatch(text):
        return GitUrl(text, "ssh")
    if _LONG_SSH.fullmatch(text):
        return GitUrl(text, "ssh")
    if re.match(r"ssh://[^/]*:[^/]*@", text):
        raise UsageError("--git: the URL must not contain a password", hint=_LOGIN)
    if text.startswith(("http://", "git://")):
        raise UsageError(f"--git: {text.partition(':')[0]}:// proves neither who answers nor what", hint="use https:// or ssh")
    raise UsageError("--git: this is not the address of a git repository", hint=_FORMS)


def _check_https(text: str) -> str:
    host = text.removeprefix("https://").partition("/")[0]
    if "@" in host:
        raise UsageError("--git: the URL must not contain a user or password", hint=_LOGIN)
    try:
        parse_url(text)
    except httpx.InvalidURL as error:
        raise UsageError("--git: invalid URL", hint=_FORMS) from error
    if "?" in text or "#" in text or not text.partition(host)[2].strip("/"):
        raise UsageError("--git: the URL needs a path, and nothing after it", hint=_FORMS)
    return text


def check_git_ref(text: str) -> str:
    """
    Return the name *text* of a branch or tag.

    Raises:
        UsageError: git does not allow it.
    """
    parts = text.split("/")
    if not _REF.fullmatch(text) or ".." in text or "@{" in text or any(not part or part.startswith(".") or part.endswith((".lock", ".")) for part in parts):
        raise UsageError(f"--git-ref: {text!r} is not the name of a branch or tag", hint="such as main, or refs/heads/release")
    return text


def check_git_path(text: str, *, option: str = "--git-path") -> PurePosixPath:
    """
    Return the path *text* in the repository, which *option* names.

    Raises:
        UsageError: It leads out of it.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not text.isprintable() or text.startswith(":"):
        raise UsageError(f"{option}: {text!r} is not a path inside the repository", hint="with --git, it is relative to the top of the repository")
    return path
