"""Build destinations, and merge and name mirrors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from imgsync.config.model import Destination, Mirror, Source
from imgsync.filters.tags import has_only_names

_NAME_LIMIT = 63
# Characters kept free for "-NUMBER".
_SUFFIX_LENGTH = 7


def build_destination(path: str, registry: str, target: str, *, tag: str = "{tag}") -> Destination:
    """
    Return the destination that copies *path* to *target*.

    It uses templates where possible, so that mirrors of several repositories can share it.

    Args:
        path: The path of the source repository.
        registry: The destination registry.
        target: The path of the destination repository.
        tag: The template of the destination tag.
    """
    parent, _, name = target.rpartition("/")
    if target == path or target.endswith(f"/{path}"):
        return Destination(registry, target[: -len(path)].rstrip("/"), tag=tag)
    if name == path.rpartition("/")[2]:
        return Destination(registry, parent, "{name}", tag)
    return Destination(registry, parent, name, tag)


def merge_mirrors(mirrors: Iterable[Mirror]) -> list[Mirror]:
    """Merge mirrors that differ only in names or repositories."""
    repositories: dict[Mirror, list[str]] = {}
    first: dict[Mirror, Mirror] = {}
    for mirror in _merge_tags(mirrors):
        common = replace(mirror, name="", file="", line=0, source=Source(mirror.source.registry))
        first.setdefault(common, mirror)
        repositories.setdefault(common, []).extend(mirror.source.repositories)
    return [replace(first[common], source=replace(first[common].source, repositories=tuple(dict.fromkeys(paths)))) for common, paths in repositories.items()]


def _merge_tags(mirrors: Iterable[Mirror]) -> list[Mirror]:
    names: dict[Mirror, list[str]] = {}
    first: dict[Mirror, Mirror] = {}
    for mirror in mirrors:
        is_mergeable = has_only_names(mirror.tags) and all(one.tag == "{tag}" for one in mirror.destinations)
        # The others keep their file and line, which makes each of them distinct.
        common = replace(mirror, name="", file="", line=0, tags=replace(mirror.tags, names=())) if is_mergeable else mirror
        first.setdefault(common, mirror)
        names.setdefault(common, []).extend(mirror.tags.names)
    return [replace(first[common], tags=replace(first[common].tags, names=tuple(dict.fromkeys(tags)))) for common, tags in names.items()]


def assign_names(mirrors: Iterable[Mirror]) -> list[Mirror]:
    """Give each mirror a valid and unique name."""
    numbers: dict[str, int] = {}
    result = []
    for mirror in mirrors:
        name = base = re.sub(r"[^A-Za-z0-9._-]+", "-", mirror.name).strip("-._")[: _NAME_LIMIT - _SUFFIX_LENGTH] or "mirror"
        while name in numbers:
            numbers[base] += 1
            name = f"{base}-{numbers[base]}"
        numbers[name] = 1
        result.append(replace(mirror, name=name))
    return result


def derive_name(path: str) -> str:
    """Return the mirror name for the repository *path*."""
    return path.removeprefix("library/").replace("/", "-")
