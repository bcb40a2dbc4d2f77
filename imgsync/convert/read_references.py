"""Read other tools' image names, registries and platforms."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imgsync.config.model import Source
from imgsync.convert.input_file import Node
from imgsync.convert.regex_to_globs import convert_to_globs
from imgsync.convert.regexes import match_whole, split_alternatives
from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.reference import Reference, is_repository_path, parse_reference, parse_registry

_HUB_NAMES = {"registry.hub.docker.com", "hub.docker.com"}
# HOST:TAG@sha256:… is an image of Docker Hub with its digest, and has no user.
_USER = re.compile(r"(?:[a-z]+://)?[^/@]*@(?!sha(?:256|512):)")
# A literal first component.
_NAMESPACE = re.compile(r"\^?([a-z0-9]+(?:[_-][a-z0-9]+)*)/(?![?*+{])")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")


def read_image(node: Node, text: str) -> Reference | None:
    """Parse an image name like Docker; report errors."""
    if _has_user(node, text):
        return None
    try:
        return parse_reference(_replace_hub_name(text))
    except InvalidReferenceError as error:
        node.report_error(error.message, hint=error.hint)
        return None


def read_registry(node: Node, text: str) -> str:
    """Parse a registry; report errors and return ""."""
    if _has_user(node, text):
        return ""
    try:
        return parse_registry("docker.io" if text in _HUB_NAMES else text)
    except InvalidReferenceError as error:
        node.report_error(error.message, hint=error.hint)
        return ""


def read_location(node: Node, text: str) -> tuple[str, str] | None:
    """Parse REGISTRY[/NAMESPACE]; report an error if invalid."""
    host, _, namespace = text.rstrip("/").partition("/")
    registry = read_registry(node, host)
    if registry and namespace and not is_repository_path(namespace):
        node.report_error(f"invalid namespace {namespace!r}", hint="use lower-case words joined by '/'")
        return None
    return (registry, namespace) if registry else None


def read_platforms(node: Node | None, names: Iterable[str]) -> tuple[str, ...] | None:
    """Return the platforms, None for all; report errors."""
    valid = []
    for name in names:
        if _PLATFORM.fullmatch(name):
            valid.append(name)
        elif node is not None:
            # Skipping it would mean all platforms.
            node.report_error(f"imgsync does not know the platform {name!r}", hint="write it as linux/amd64 or linux/arm64/v8")
    return tuple(valid) or None


def select_repositories(searches: Iterable[str]) -> Source:
    """
    Return the selection of repositories that any of *searches* finds.

    Without any, it is the whole registry. `registry` is empty.
    """
    namespaces: list[str] = []
    repositories: list[str] = []
    expressions: list[str] = []
    for search in searches:
        found = _split_repositories(search)
        if found is None:
            expressions.append(match_whole(search))
        else:
            namespaces += found[0]
            repositories += found[1]
    if expressions:
        # Expressions apply below every namespace, so they must also say what the namespaces say.
        expressions += [f"{re.escape(path)}/.*" if path else ".*" for path in namespaces]
        namespaces = _find_namespaces(expressions)
    elif not repositories and not namespaces:
        namespaces = [""]
    return Source("", tuple(dict.fromkeys(namespaces)), tuple(dict.fromkeys(repositories)), regex=tuple(dict.fromkeys(expressions)))


def _find_namespaces(expressions: Iterable[str]) -> list[str]:
    """Return the namespaces that *expressions* name, "" if one is open."""
    found = [_NAMESPACE.match(one) if len(split_alternatives(one)) == 1 else None for one in expressions]
    return [""] if None in found else list(dict.fromkeys(one[1] for one in found if one is not None))


def _split_repositories(search: str) -> tuple[list[str], list[str]] | None:
    """Return the namespaces and repositories found, None if impossible."""
    globs = convert_to_globs(search, crossing=True)
    namespaces: list[str] = []
    repositories: list[str] = []
    for glob in globs or ():
        path = glob.removesuffix("**").rstrip("/")
        is_namespace = glob == "**" or glob.endswith("/**")
        if (path and not is_repository_path(path)) or (glob != path and not is_namespace):
            return None
        (namespaces if is_namespace else repositories).append(path)
    return None if globs is None else (namespaces, repositories)


def _has_user(node: Node, text: str) -> bool:
    """Return whether a user precedes the host; report errors."""
    # The message must not show the user, because a password may follow it.
    found = _USER.match(text) is not None
    if found:
        node.report_error("the name has a user before the registry", hint="write HOST/PATH, and put credentials into registries.yaml")
    return found


def _replace_hub_name(text: str) -> str:
    host, slash, rest = text.partition("/")
    return f"docker.io{slash}{rest}" if host in _HUB_NAMES else text
