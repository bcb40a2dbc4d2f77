"""Names shared by the formats: images as those tools write them, where a mirror sends them, what a mirror is called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.patterns import globs
from imgsync.convert.reading import Piece
from imgsync.errors import InvalidReferenceError
from imgsync.filters.tags import has_only_names
from imgsync.oci.spec.reference import Reference, is_repository_path, parse_reference, parse_registry

_HUB_NAMES = {"registry.hub.docker.com", "hub.docker.com"}
_NAME_LIMIT = 63
# HOST:TAG@sha256:… is an image of Docker Hub with its digest, and names no user.
_USER = re.compile(r"(?:[a-z]+://)?[^/@]*@(?!sha(?:256|512):)")
# For formats that know no referrers, and copy the tags of signatures like any other.
REFERRERS_TRAVEL = "signatures and other referrers travel with their image here (`referrers: false` leaves them)"
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(/[a-z0-9.]+)?")


def read_image(piece: Piece, text: str) -> Reference | None:
    """Return the image *text* as docker's users write it (`nginx:1.27` is Docker Hub's); None, and a fault, when it is none."""
    if _names_user(piece, text):
        return None
    try:
        return parse_reference(_of_docker_hub(text))
    except InvalidReferenceError as error:
        piece.fault(error.message, hint=error.hint)
        return None


def read_registry(piece: Piece, text: str) -> str:
    """Return the registry *text*; "", and a fault, when it is none."""
    if _names_user(piece, text):
        return ""
    try:
        return parse_registry("docker.io" if text in _HUB_NAMES else text)
    except InvalidReferenceError as error:
        piece.fault(error.message, hint=error.hint)
        return ""


def read_location(piece: Piece, text: str) -> tuple[str, str] | None:
    """Return REGISTRY[/NAMESPACE] as registry and namespace; None, and a fault, when it is none."""
    host, _, namespace = text.rstrip("/").partition("/")
    registry = read_registry(piece, host)
    if registry and namespace and not is_repository_path(namespace):
        piece.fault(f"{namespace!r} is no namespace", hint="namespaces are lower-case words joined by '/'")
        return None
    return (registry, namespace) if registry else None


def destination_of(path: str, registry: str, target: str, *, tag: str = "{tag}") -> Destination:
    """
    Return where a mirror of the repository *path* goes so that it becomes *target* at *registry*.

    As general as can be, so that mirrors of several repositories can be told in one.
    """
    parent, _, name = target.rpartition("/")
    if target == path or target.endswith(f"/{path}"):
        return Destination(registry, target[: -len(path)].rstrip("/"), tag=tag)
    if name == path.rpartition("/")[2]:
        return Destination(registry, parent, "{name}", tag)
    return Destination(registry, parent, name, tag)


def merged(mirrors: Iterable[Mirror]) -> list[Mirror]:
    """Return *mirrors*, those that differ in exact tags alone, then those that differ in repositories alone, told as one in the place of the first."""
    found: dict[Mirror, list[str]] = {}
    first: dict[Mirror, Mirror] = {}
    for mirror in _with_names_joined(mirrors):
        alike = replace(mirror, name="", file="", line=0, source=Source(mirror.source.registry))
        first.setdefault(alike, mirror)
        found.setdefault(alike, []).extend(mirror.source.repositories)
    return [replace(first[alike], source=replace(first[alike].source, repositories=tuple(dict.fromkeys(paths)))) for alike, paths in found.items()]


def _with_names_joined(mirrors: Iterable[Mirror]) -> list[Mirror]:
    found: dict[Mirror, list[str]] = {}
    first: dict[Mirror, Mirror] = {}
    for mirror in mirrors:
        joins = has_only_names(mirror.tags) and all(one.tag == "{tag}" for one in mirror.destinations)
        # Those of every tag keep their file and line, and are told apart by them.
        alike = replace(mirror, name="", file="", line=0, tags=replace(mirror.tags, names=())) if joins else mirror
        first.setdefault(alike, mirror)
        found.setdefault(alike, []).extend(mirror.tags.names)
    return [replace(first[alike], tags=replace(first[alike].tags, names=tuple(dict.fromkeys(names)))) for alike, names in found.items()]


def named(mirrors: Iterable[Mirror]) -> list[Mirror]:
    """Return *mirrors*, their names made such as our schema allows, each its own."""
    numbers: dict[str, int] = {}
    done = []
    for mirror in mirrors:
        name = base = re.sub(r"[^A-Za-z0-9._-]+", "-", mirror.name).strip("-._")[: _NAME_LIMIT - 7] or "mirror"
        while name in numbers:
            numbers[base] += 1
            name = f"{base}-{numbers[base]}"
        numbers[name] = 1
        done.append(replace(mirror, name=name))
    return done


def mirror_name(path: str) -> str:
    """Return what a mirror of the repository *path* is called."""
    return path.removeprefix("library/").replace("/", "-")


def _names_user(piece: Piece, text: str) -> bool:
    """Return whether a user, and perhaps a password, stands before the host; the fault then noted shows neither."""
    found = _USER.match(text) is not None
    if found:
        piece.fault("a user is named before the registry", hint="write HOST/PATH; credentials belong in registries.yaml")
    return found


def _of_docker_hub(text: str) -> str:
    host, slash, rest = text.partition("/")
    return f"docker.io{slash}{rest}" if host in _HUB_NAMES else text


def repositories_of(search: str) -> tuple[list[str], list[str]] | None:
    """Return the namespaces and the repositories that searching for *search* among paths finds; None when it is something else."""
    found = globs(search, crossing=True)
    namespaces: list[str] = []
    repositories: list[str] = []
    for glob in found or ():
        below = glob.removesuffix("**").rstrip("/")
        whole_namespace = glob == "**" or glob.endswith("/**")
        if (below and not is_repository_path(below)) or (glob != below and not whole_namespace):
            return None
        (namespaces if whole_namespace else repositories).append(below)
    return None if found is None else (namespaces, repositories)


def checked_platforms(piece: Piece | None, names: Iterable[str]) -> tuple[str, ...] | None:
    """Return *names* as platforms, those that are none noted as lost at *piece*; None for all of them."""
    kept = []
    for name in names:
        if _PLATFORM.fullmatch(name):
            kept.append(name)
        elif piece is not None:
            piece.lost(f"{name!r} is no platform here", hint="write it as linux/amd64 or linux/arm64/v8")
    return tuple(kept) or None


def digest_left_out(piece: Piece, image: Reference, target: str) -> None:
    """Remark that an image named by its digest cannot be declared."""
    piece.lost("images are declared by tag, not by digest; it is left out", hint=f"copy it once: imgsync copy {image.repository}@{image.digest} {target}")
