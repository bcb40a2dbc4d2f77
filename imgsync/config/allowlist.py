"""
Prefixes of registry and repository path: one grammar and one matcher.

`allow`, `require`, `signed_as` and pruning use them. A prefix covers a path by whole path components.
"""

from __future__ import annotations

from imgsync.config.model import Destination
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import is_registry_like, is_repository_path, parse_registry, refuse_scheme

_DOCKER_HUB = "docker.io/"
_OFFICIAL = "docker.io/library/"
_HTTPS_PORT = 443


def parse_prefix(text: str) -> str:
    """
    Parse a prefix of image names, `HOST[:PORT][/PATH]`.

    One slash at its end is ignored.

    Raises:
        InvalidReferenceError: No image name can begin with *text*.
    """
    refuse_scheme(text)
    host, slash, path = text.removesuffix("/").partition("/")
    registry = parse_registry(host)
    if not is_registry_like(host):
        # A user who means an image of Docker Hub would get a rule that matches nothing.
        hub = f"{_OFFICIAL if not slash else _DOCKER_HUB}{text.removesuffix('/')}"
        raise InvalidReferenceError(f"{text!r} has no registry", hint=f"write {hub}, or {host}:{_HTTPS_PORT}{slash}{path} for a registry named {host}")
    if not slash or is_repository_path(path):
        return f"{registry}{slash}{path}"
    raise InvalidReferenceError(f"{text!r} is not a prefix of a registry and a path, so it matches no image", hint=_suggest_prefix(registry, path))


def is_allowed(prefixes: tuple[str, ...] | None, path: str) -> bool:
    """
    Return whether *path* is one of *prefixes* or below one.

    Prefixes match whole path components. None allows every path.
    """
    return prefixes is None or any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def explain_allowed(prefixes: tuple[str, ...] | None) -> str:
    """Return a hint for a path that is not one of *prefixes*."""
    return f"allowed: {', '.join(prefixes or ()) or 'none'}; the operator of registries.yaml can allow more"


def is_required_below(prefix: str, path: str) -> bool:
    """Return whether *prefix* covers *path*, also in Docker Hub's short form."""
    # docker.io/nginx means docker.io/library/nginx to its users, and an organization may have the same name: require of both.
    short = _DOCKER_HUB + path.removeprefix(_OFFICIAL) if path.startswith(_OFFICIAL) else path
    return is_allowed((prefix,), path) or is_allowed((prefix,), short)


def get_fixed_prefix(destination: Destination) -> str:
    """Return the path that all references of *destination* begin with."""
    literal = destination.repository.partition("{")[0]
    known = literal if "{" not in destination.repository else literal.rpartition("/")[0]
    return "/".join(part for part in f"{destination.registry}/{destination.namespace}/{known}".split("/") if part)


def _suggest_prefix(registry: str, path: str) -> str:
    """Return how to write the longest valid part of *path*."""
    parts: list[str] = []
    for part in path.lower().partition("@")[0].split("/"):
        name = part.partition(":")[0]
        if name in {"", ".", ".."}:
            continue
        if not is_repository_path(name):
            break
        parts.append(name)
    return f"a prefix covers all images below it and has no wildcard, tag or digest: write {'/'.join([registry, *parts])}"
