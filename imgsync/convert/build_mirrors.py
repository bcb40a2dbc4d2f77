"""Build destinations, and merge and name mirrors."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from imgsync.config.model import Destination, Mirror
from imgsync.filters.tags import has_only_names
from imgsync.system.dataclass import dataclass

_NAME_LIMIT = 63
# Characters kept free for "-NUMBER".
_SUFFIX_LENGTH = 7
# So that each mirror fits into a file.
_MERGE_LIMIT = 2000


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


def derive_tag_template(tag: str, target: str) -> str:
    """Return the template that renames *tag* to *target*."""
    # With the tag in it, the template also fits other tags.
    before, found, after = target.partition(tag)
    return f"{before}{{tag}}{after}" if found else target


def merge_mirrors(mirrors: Iterable[Mirror]) -> list[Mirror]:
    """Merge mirrors that differ only in names, destinations or repositories."""
    named = _merge_field(mirrors, _NAMES)
    return _merge_field(_merge_field(named, _DESTINATIONS), _REPOSITORIES)


@dataclass(frozen=True, slots=True)
class _Field:
    """A tuple in a mirror, in which mirrors that merge may differ."""

    read: Callable[[Mirror], tuple[Any, ...]]
    write: Callable[[Mirror, tuple[Any, ...]], Mirror]
    is_mergeable: Callable[[Mirror], bool]


_NAMES = _Field(
    lambda mirror: mirror.tags.names,
    lambda mirror, names: replace(mirror, tags=replace(mirror.tags, names=names)),
    lambda mirror: has_only_names(mirror.tags) and all("{tag}" in one.tag for one in mirror.destinations),
)
_DESTINATIONS = _Field(lambda mirror: mirror.destinations, lambda mirror, destinations: replace(mirror, destinations=destinations), lambda _: True)
_REPOSITORIES = _Field(
    lambda mirror: mirror.source.repositories,
    lambda mirror, repositories: replace(mirror, source=replace(mirror.source, repositories=repositories)),
    lambda mirror: bool(mirror.source.repositories),
)


def _merge_field(mirrors: Iterable[Mirror], field: _Field) -> list[Mirror]:
    """Merge mirrors that differ only in *field*, into the first."""
    groups: dict[Mirror, list[Mirror]] = {}
    for mirror in mirrors:
        # The others keep their file and line, which makes each of them distinct.
        common = field.write(replace(mirror, name="", file="", line=0), ()) if field.is_mergeable(mirror) else mirror
        groups.setdefault(common, []).append(mirror)
    merged = []
    for group in groups.values():
        values = tuple(dict.fromkeys(value for mirror in group for value in field.read(mirror)))
        # A mirror without any value stays one.
        parts = [values[start : start + _MERGE_LIMIT] for start in range(0, len(values), _MERGE_LIMIT)] or [()]
        merged += [field.write(group[0], part) for part in parts]
    return merged


def assign_names(mirrors: Iterable[Mirror], taken: Collection[str] = ()) -> list[Mirror]:
    """Give each mirror a valid and unique name, none of *taken*."""
    numbers: dict[str, int] = dict.fromkeys(taken, 1)
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
