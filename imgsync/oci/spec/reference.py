"""
Registries, repositories and references: the grammar, then the parser.

Spec: distribution-spec 1.1 "Pulling manifests"; distribution/reference for how Docker's users write them.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.digest import is_digest

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
# ASCII classes and fullmatch: `\w` is Unicode and `$` matches before a newline.
REPOSITORY_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[([0-9a-f:.]+)\])(?::[0-9]{{1,5}})?")
_NAME_LIMIT = 255
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A registry plus a path: `docker.io` and `library/nginx`."""

    registry: str
    path: str

    def __str__(self) -> str:
        """Return what you would paste into a terminal."""
        return f"{self.registry}/{self.path}"

    def with_tag(self, tag: str) -> Reference:
        """Return the reference of *tag* in this repository."""
        return Reference(self, tag=tag)

    def with_digest(self, digest: str) -> Reference:
        """Return the reference of *digest* in this repository."""
        return Reference(self, digest=digest)

    def with_name(self, name: str) -> Reference:
        """Return the reference of *name*, a digest or a tag, in this repository."""
        return self.with_digest(name) if is_digest(name) else self.with_tag(name)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A repository plus a tag or a digest; with both, the digest decides."""

    repository: Repository
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Return what stands behind `/manifests/`: the digest, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        """Return what you would paste into a terminal."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def is_tag(text: str) -> bool:
    """Return whether *text* is a valid tag."""
    return TAG.fullmatch(text) is not None


def is_repository_path(text: str) -> bool:
    """Return whether *text* is a valid repository path of at most 255 characters."""
    return len(text) <= _NAME_LIMIT and REPOSITORY_PATH.fullmatch(text) is not None


def parse_registry(text: str) -> str:
    """
    Return *text* as a registry name: `host[:port]`, lower case, `index.docker.io` as `docker.io`.

    Raises:
        InvalidReferenceError: A scheme, a path, user info, upper case, or characters outside ASCII host names.
    """
    if text in {"index.docker.io", "registry-1.docker.io"}:
        return _DOCKER_HUB
    if "@" in text:
        raise InvalidReferenceError("a registry name holds no user or password", hint="credentials belong in registries.yaml")
    if "://" in text:
        raise InvalidReferenceError(f"{text.partition('://')[2]!r} is written as a URL", hint="write the registry as HOST or HOST:PORT, without a scheme")
    found = _REGISTRY.fullmatch(text)
    port = int(text.rpartition(":")[2]) if re.search(r":[0-9]{1,5}$", text) else 0
    if found is None or len(text) > _NAME_LIMIT or port > 65535 or (found[1] is not None and not _is_ipv6(found[1])):
        raise InvalidReferenceError(f"{text!r} is no registry name", hint="write HOST or HOST:PORT in lower case, such as registry.internal:5000")
    return text


def parse_repository_path(text: str, *, registry: str = "") -> str:
    """
    Return *text* as a repository path of *registry*; on Docker Hub `nginx` is `library/nginx`.

    Raises:
        InvalidReferenceError: It breaks the grammar; the message says how.
    """
    if registry == _DOCKER_HUB and "/" not in text:
        text = f"library/{text}"
    if is_repository_path(text):
        return text
    hint = "repository paths are lower case" if is_repository_path(text.lower()) else "paths are lower-case words joined by '/', '.', '_' or '-'"
    raise InvalidReferenceError(f"{text!r} is no repository path", hint=hint)


def parse_repository(text: str) -> Repository:
    """
    Return *text* (`HOST[:PORT]/PATH`) as a repository; the registry must be written.

    Raises:
        InvalidReferenceError: No registry, or a part that breaks the grammar.
    """
    registry, slash, path = text.partition("/")
    if not slash or not _looks_like_registry(registry):
        suggestion = f"{_DOCKER_HUB}/{text if slash else 'library/' + text}"
        raise InvalidReferenceError(f"{text!r} names no registry", hint=f"write it whole, such as {suggestion}")
    name = parse_registry(registry)
    return Repository(name, parse_repository_path(path, registry=name))


def parse_reference(text: str) -> Reference:
    """
    Return *text* as people write it on a command line; `nginx:1.27` is `docker.io/library/nginx:1.27`.

    Tag and digest are both empty when none is written.

    Raises:
        InvalidReferenceError: A part that breaks the grammar.
    """
    name, _, digest = text.partition("@")
    if digest and not is_digest(digest):
        raise InvalidReferenceError(f"{digest[:100]!r} is no digest", hint="write sha256: and 64 lower-case hex digits")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not is_tag(tag):
        raise InvalidReferenceError(f"{tag!r} is no tag", hint="tags are up to 128 letters, digits, '_', '.' and '-'")
    path = f"{head}{slash}{last}"
    if _IDENTIFIER.fullmatch(path):
        raise InvalidReferenceError(f"{path!r} is an image's identifier, not a name", hint=f"write it as a digest behind its repository: NAME@sha256:{path}")
    if not _looks_like_registry(path.partition("/")[0]) or "/" not in path:
        path = f"{_DOCKER_HUB}/{path}"
    return Reference(parse_repository(path), tag=tag, digest=digest)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _looks_like_registry(text: str) -> bool:
    return "." in text or ":" in text or text == "localhost" or text != text.lower()
