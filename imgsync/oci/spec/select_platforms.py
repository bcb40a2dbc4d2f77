"""Reduce an index, and indexes within it, to some platforms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.strict_json import dump_json, parse_object
from imgsync.system.dataclass import dataclass

_DEPTH_LIMIT = 4
_BYTES_LIMIT = 16 << 20
# Returns the manifest that a descriptor of an index names.
ReadChild = Callable[[Manifest, Descriptor], Manifest]


@dataclass(frozen=True, slots=True)
class SelectedPlatforms:
    """
    An index with some platforms only.

    `made` are the indexes within it that were reduced, which exist nowhere else. `missing` are requested platforms that it lacks.
    """

    root: Manifest
    made: tuple[Manifest, ...] = ()
    missing: tuple[Platform, ...] = ()


def select_platforms(index: Manifest, platforms: Sequence[Platform], *, read_child: ReadChild) -> SelectedPlatforms:
    """
    Return an index with only the children of *platforms*.

    This is *index* itself if all children stay. Children keep their bytes and order. An attestation stays if its image does, and entries
    without a platform stay. Indexes within it are reduced likewise. The same input gives the same bytes, and so the same digest.

    Raises:
        UnsupportedContentError: No child has one of *platforms*, or indexes are nested too deeply.
    """
    reducer = _Reducer(platforms, read_child)
    root = reducer.reduce(index, depth=1)
    if root is None or not reducer.matched:
        offered = ", ".join(sorted(map(str, reducer.offered))) or "none"
        raise UnsupportedContentError(f"the image has none of the requested platforms; it has {offered}")
    return SelectedPlatforms(root, tuple(reducer.made), find_missing(platforms, reducer.offered))


def find_missing(platforms: Iterable[Platform], offered: Iterable[Platform]) -> tuple[Platform, ...]:
    """Return those of *platforms* that none of *offered* matches."""
    known = tuple(offered)
    return tuple(platform for platform in platforms if not any(platform.matches(other) for other in known))


class _Reducer:
    """Reduces one index and those within it."""

    def __init__(self, platforms: Sequence[Platform], read_child: ReadChild) -> None:
        self._platforms = platforms
        self._read_child = read_child
        self._reduced: dict[str, Manifest | None] = {}
        self._read_bytes = 0
        self.offered: set[Platform] = set()
        self.made: list[Manifest] = []
        self.matched = False

    def reduce(self, index: Manifest, *, depth: int) -> Manifest | None:
        """Return *index* with what stays; None if all of its platforms go."""
        if depth > _DEPTH_LIMIT:
            raise UnsupportedContentError(f"the index is nested deeper than {_DEPTH_LIMIT} levels")
        inner = {child.digest: self._reduce_child(index, child, depth=depth + 1) for child in index.children if child.is_index}
        kept = {child.digest for child in index.children if self._is_requested(child)}
        kept |= {digest for digest, found in inner.items() if found is not None}
        stays = [child.digest in kept or child.attested_digest in kept or (child.platform is None and not child.is_index) for child in index.children]
        if not any(stays):
            return None
        changed = {digest: found for digest, found in inner.items() if found is not None and found.digest != digest}
        return index if all(stays) and not changed else self._build(index, stays, changed, is_root=depth == 1)

    def _reduce_child(self, index: Manifest, child: Descriptor, *, depth: int) -> Manifest | None:
        if child.digest not in self._reduced:
            found = self._read_child(index, child)
            self._read_bytes += found.size_bytes
            if self._read_bytes > _BYTES_LIMIT:
                raise UnsupportedContentError(f"the indexes of the image exceed {_BYTES_LIMIT >> 20} MiB in total")
            self._reduced[child.digest] = self.reduce(found, depth=depth)
        return self._reduced[child.digest]

    def _is_requested(self, child: Descriptor) -> bool:
        if child.platform is None or child.is_index:
            return False
        if not child.attested_digest:
            self.offered.add(child.platform)
        is_requested = any(platform.matches(child.platform) for platform in self._platforms)
        self.matched = self.matched or is_requested
        return is_requested

    def _build(self, index: Manifest, stays: Sequence[bool], changed: dict[str, Manifest], *, is_root: bool) -> Manifest:
        document = parse_object(index.raw)
        document["manifests"] = [_point_to(entry, changed) for entry, stay in zip(document["manifests"], stays, strict=True) if stay]
        made = parse_manifest(dump_json(document), content_type=index.media_type, algorithm=index.digest)
        if not is_root:
            self.made.append(made)
        return made


def _point_to(entry: dict[str, Any], changed: dict[str, Manifest]) -> dict[str, Any]:
    """Return *entry*, naming the manifest made of what it named."""
    made = changed.get(entry["digest"])
    return entry if made is None else entry | {"digest": made.digest, "size": made.size_bytes}
