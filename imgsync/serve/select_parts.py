"""Find the mirrors, and the parts of them, that hints are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imgsync.config.model import Mirror
from imgsync.config.only_pattern import OnlyPattern
from imgsync.filters.repositories import RepositoryFilter
from imgsync.filters.tags import has_only_names
from imgsync.plan.list_repositories import list_relative_paths
from imgsync.serve.model import Hint
from imgsync.system.dataclass import dataclass

_TAGS_LIMIT = 20
PARTS_LIMIT = 50


@dataclass(frozen=True, slots=True)
class MirrorParts:
    """The mirrors of a run by events, and parts of some."""

    mirrors: tuple[str, ...]
    only: tuple[OnlyPattern, ...]


class PartSelector:
    """Finds what hints are about among the declared mirrors."""

    def __init__(self, mirrors: Iterable[Mirror]) -> None:
        """Select among *mirrors*, without the suspended ones."""
        self._by_registry: dict[str, list[tuple[Mirror, RepositoryFilter, frozenset[str] | None]]] = {}
        self._order = [mirror.name for mirror in mirrors if not mirror.suspend]
        for mirror in mirrors:
            if not mirror.suspend:
                names = frozenset(name.partition("@")[0] for name in mirror.tags.names) if has_only_names(mirror.tags) else None
                self._by_registry.setdefault(mirror.source.registry, []).append((mirror, mirror.source.compile_filter(), names))

    def has(self, hint: Hint) -> bool:
        """Return whether a mirror may select what *hint* names."""
        return any(True for _ in self._find(hint))

    def select(self, hints: Iterable[Hint]) -> MirrorParts:
        """
        Return the mirrors that may select what *hints* name, and which parts.

        Of more than 20 tags of one repository, the repository is the part; of more than 50 parts of one mirror, the whole mirror.
        """
        found: dict[str, dict[str, set[str]] | None] = {}
        for hint in hints:
            for name in self._find(hint):
                parts = found.setdefault(name, {})
                if parts is None:
                    continue
                if not hint.repository:
                    found[name] = None
                    continue
                parts.setdefault(hint.repository, set()).add(hint.tag)
        chosen = {name: None if parts is None else _write_parts(name, parts) for name, parts in found.items()}
        names = tuple(name for name in self._order if name in chosen)
        return MirrorParts(names, tuple(pattern for name in names for pattern in chosen[name] or ()))

    def _find(self, hint: Hint) -> Iterable[str]:
        for mirror, paths, names in self._by_registry.get(hint.registry, ()):
            if hint.tag and names is not None and hint.tag not in names:
                continue
            if not hint.repository or (not paths.is_excluded(hint.repository) and any(list_relative_paths(mirror.source, paths, hint.repository))):
                yield mirror.name


def _write_parts(mirror: str, parts: dict[str, set[str]]) -> Sequence[OnlyPattern] | None:
    """Return the patterns of *parts*, None for the whole mirror."""
    found: list[OnlyPattern] = []
    for repository, tags in parts.items():
        few = [""] if "" in tags or len(tags) > _TAGS_LIMIT else sorted(tags)
        # Neither a repository nor a tag has a character that means something in a glob.
        found += (OnlyPattern(f"{mirror}/{repository}{f':{tag}' if tag else ''}", mirror, repository, tag) for tag in few)
    return found if len(found) <= PARTS_LIMIT else None
