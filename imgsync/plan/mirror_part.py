"""
Narrow what a mirror selects to what `--only` or a bundle has.

The filters choose first: `newest: 3` still means the newest three of the repository.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace

from imgsync.config.model import Mirror
from imgsync.config.only import suggest_images
from imgsync.config.only_pattern import OnlyPattern
from imgsync.filters.globs import Glob, compile_glob
from imgsync.listing.model import pack_in_order
from imgsync.oci.spec.reference import Reference
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.list_repositories import SourceRepository, strip_namespace
from imgsync.plan.mirror_plan import MirrorPlan, SelectedTags
from imgsync.plan.model import FilterStep
from imgsync.plan.plan_error import make_mirror_error
from imgsync.system.dataclass import dataclass

_STEP, _WITHIN_STEP = "--only", "in the bundle"


@dataclass(frozen=True, slots=True)
class _Images:
    """The compiled globs of one pattern."""

    text: str
    repository: Glob
    tag: Glob

    def has(self, names: Iterable[str], tag: str | None) -> bool:
        """Return whether it selects *tag*, None for any, of the repository *names*."""
        return (tag is None or self.tag.fullmatch(tag)) and any(self.repository.fullmatch(name) for name in names)


@dataclass(slots=True)
class MirrorPart:
    """
    The images of one mirror that `--only` names.

    All, if it names none of the mirror. With `within`, only tags that it has, by path of the repository.
    """

    mirror: Mirror
    images: tuple[_Images, ...]
    within: Mapping[str, Collection[str]] | None = None
    # What the mirror selects, before it is narrowed, for a suggestion.
    offered: list[str] = field(default_factory=list)
    matched: set[str] = field(default_factory=set)

    def narrow_repositories(self, repositories: Iterable[SourceRepository]) -> tuple[SourceRepository, ...]:
        """Return those of *repositories* that have a selected image."""
        kept = []
        for one in repositories:
            self.offered.append(one.relative)
            if self._has(one.repository.path, None):
                kept.append(one)
        return tuple(kept)

    def narrow(self, selected: SelectedTags) -> SelectedTags:
        """Return *selected* without the other tags."""
        path, repository = selected.repository.repository.path, selected.repository.repository
        self.offered += [f"{selected.repository.relative}:{tag.name}" for tag in selected.tags]
        tags = pack_in_order(tag for tag in selected.tags if self._has(path, _get_tag(tag.name)))
        kept = {tag.name for tag in tags}
        dropped = tuple(tag.name for tag in selected.tags if tag.name not in kept)
        step = FilterStep(str(repository), _STEP if self.images else _WITHIN_STEP, len(tags), dropped)
        prefix = f"{repository}:"
        is_whole = not self.images or any(one.tag.text == "**" for one in self.images if one.has(self._list_names(path), None))
        return replace(
            selected,
            tags=tags,
            steps=(*selected.steps, step) if dropped else selected.steps,
            errors=tuple(one for one in selected.errors if not one.reference.startswith(prefix) or self._has(path, one.reference.removeprefix(prefix))),
            missing=tuple(name for name in selected.missing if self._has(path, _get_tag(name))),
            gone=self.narrow_gone(selected.gone),
            returned=selected.returned if is_whole else (),
        )

    def narrow_gone(self, gone: Iterable[GoneTag]) -> tuple[GoneTag, ...]:
        """Return those of *gone* that are selected."""
        return tuple(one for one in gone if self.has(one.source))

    def has(self, source: Reference) -> bool:
        """Return whether the image *source* is selected."""
        return self._has(source.repository.path, source.tag)

    def _has(self, path: str, tag: str | None) -> bool:
        if self.within is not None and (path not in self.within or (tag is not None and tag not in self.within[path])):
            return False
        if not self.images:
            return True
        names = self._list_names(path)
        found = [one.text for one in self.images if one.has(names, tag)]
        if tag is not None:
            self.matched.update(found)
        return bool(found)

    def _list_names(self, path: str) -> list[str]:
        """Return *path*, and what it is below each declared namespace."""
        above = [namespace for namespace in self.mirror.source.namespaces if namespace and path.startswith(f"{namespace}/")]
        return [path, *(strip_namespace(path, namespace) for namespace in above)]


def find_part(mirror: Mirror, only: Sequence[OnlyPattern], within: Mapping[str, Mapping[str, Collection[str]]] | None = None) -> MirrorPart | None:
    """Return the part of *mirror* in *only* and *within*, None for all."""
    fitting = [pattern for pattern in only if pattern.has_mirror(mirror.name)]
    if not all(pattern.is_part for pattern in fitting):
        fitting = []
    if not fitting and within is None:
        return None
    images = tuple(_Images(one.text, compile_glob(one.repository or "**"), compile_glob(one.tag or "**")) for one in fitting)
    return MirrorPart(mirror, images, None if within is None else within.get(mirror.name, {}))


def report_unmatched(plans: Sequence[MirrorPlan], only: Sequence[OnlyPattern]) -> None:
    """Add an error for each pattern of *only* that selects no image."""
    for pattern in only:
        parts = [(one, one.part) for one in plans if one.part is not None and one.part.images and pattern.has_mirror(one.mirror.name)]
        # What could not be listed may have it.
        if not parts or any(pattern.text in part.matched or one.errors for one, part in parts):
            continue
        first = parts[0][0]
        first.errors.append(make_mirror_error(first.mirror, f"--only {pattern.text} matches no image that this mirror selects", _suggest(pattern, parts)))


def _suggest(pattern: OnlyPattern, parts: Sequence[tuple[MirrorPlan, MirrorPart]]) -> str:
    meant = f"{pattern.repository}:{pattern.tag}" if pattern.tag else pattern.repository
    return suggest_images(meant, {one.mirror.name: part.offered for one, part in parts})


def _get_tag(name: str) -> str:
    return name.partition("@")[0]
