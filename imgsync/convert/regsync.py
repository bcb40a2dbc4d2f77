"""
regsync's file: `creds`, `defaults` and a list of `sync` steps.

Facts: cmd/regsync/config.go and root.go of regclient, https://regclient.org/usage/regsync/.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imgsync.config.model import Concurrency, Destination, Mirror, Source
from imgsync.convert.go_templates import filled, is_template
from imgsync.convert.model import Conversion, Options
from imgsync.convert.reading import Piece
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.convert.regsync_creds import read_creds
from imgsync.convert.regsync_tags import SIGNATURE, checked_search, denied, read_tags, selects
from imgsync.convert.shapes import (
    checked_platforms,
    destination_of,
    digest_left_out,
    mirror_name,
    named,
    read_image,
    read_location,
    read_registry,
    repositories_of,
)
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Reference

NAME = "regsync"
_WHEN = (False, "when to run is said by CI or cron")
_OWN_PACE = (False, "not needed: imgsync obeys the limits that registries tell of")
_NOT_NEEDED = (False, "not needed here")
_SHARED = {
    "interval": _WHEN,
    "schedule": _WHEN,
    "ratelimit": _OWN_PACE,
    "backup": (True, "imgsync keeps no backup of a tag that it moves"),
    "hooks": (True, "imgsync runs no hooks"),
    "mediaTypes": (True, "imgsync copies every type but Docker's schema 1"),
    "includeExternal": (True, "layers that live elsewhere (foreign layers) are not copied"),
    "referrerSource": (True, "referrers come from where their image comes from"),
    "referrerTarget": (True, "referrers go where their image goes"),
    "referrerSlow": _NOT_NEEDED,
    "fastCheck": _NOT_NEEDED,
    "forceRecursive": (False, "`imgsync apply --refresh` asks the registries again"),
}
_DEFAULTS = {
    "blobLimit": _NOT_NEEDED,
    "cacheCount": _NOT_NEEDED,
    "cacheTime": _NOT_NEEDED,
    "userAgent": _NOT_NEEDED,
    "skipDockerConfig": (False, "imgsync reads podman's and docker's logins where registries.yaml names none"),
}
_FILTERS = ("digestTags", "referrers", "referrerFilters")
_STEP = ("source", "target", "type", "tags", "tagSets", "repos", "platform", "platforms")
_MOST_IMAGES = 256


def recognises(value: dict[str, Any]) -> bool:
    """Return whether a file of this form holds *value*."""
    return isinstance(value.get("sync"), list)


def convert(pieces: list[Piece], options: Options) -> Conversion:  # noqa: ARG001 - every format is asked the same way
    """Return what the file comes to; faults and remarks are noted on the way."""
    root = pieces[0]
    root.knows(("version", "creds", "defaults", "sync"), extensions=True)
    version = root.get("version")
    if version is not None and version.number() > 1:
        version.fault("this version of the format is not known here", hint="known is version 1")
    registries = RegistryCollector()
    read_creds(root, registries)
    defaults = root.get("defaults")
    concurrency = Concurrency()
    if defaults is not None:
        defaults.knows((*_SHARED, *_DEFAULTS, *_FILTERS, "parallel"))
        defaults.tell({**_SHARED, **_DEFAULTS})
        concurrency = _concurrency(defaults)
    steps = root.need("sync")
    mirrors = [mirror for step in (steps.items() if steps is not None else []) for mirror in _Step(step, defaults).mirrors()]
    return Conversion(NAME, tuple(named(replace(mirror, concurrency=concurrency) for mirror in mirrors)), registries.entries(), ())


def _concurrency(defaults: Piece) -> Concurrency:
    parallel = defaults.get("parallel")
    wanted = parallel.number() if parallel is not None else 0
    return Concurrency(images=min(wanted, _MOST_IMAGES)) if wanted > 0 else Concurrency()


class _Step:
    """One entry of `sync`."""

    def __init__(self, step: Piece, defaults: Piece | None) -> None:
        self._step = step
        self._defaults = defaults

    def mirrors(self) -> list[Mirror]:
        """Return what the step comes to: several mirrors where one selection of tags cannot say it."""
        self._step.knows((*_SHARED, *_FILTERS, *_STEP))
        self._step.tell(_SHARED)
        kind, source, target = (self._step.need(name) for name in ("type", "source", "target"))
        if kind is None or source is None or target is None:
            return []
        reading = {"image": self._image, "repository": self._repository, "registry": self._registry}.get(kind.text())
        if reading is None:
            kind.fault(f"{kind.text()!r} is no type", hint="it is image, repository or registry")
            return []
        texts = self._texts(source, target)
        return reading(source, target, *texts) if texts is not None else []

    def _texts(self, source: Piece, target: Piece) -> tuple[str, str] | None:
        """Return source and target with their templates filled in; None, with a remark, when that needs what only a run knows."""
        found = [source.text(), target.text()]
        for index, piece in enumerate((source, target)):
            if is_template(found[index]):
                text = filled(found[index], found[0]) if index else None
                if text is None:
                    piece.lost("mirrors.d knows no templates; this step is left out", hint="write the value in place of the template, and convert again")
                    return None
                found[index] = text
            if found[index].startswith(("ocidir://", "ocifile://")):
                piece.lost("imgsync copies from registry to registry; this step is left out")
                return None
        return found[0], found[1]

    def _image(self, source: Piece, target: Piece, source_text: str, target_text: str) -> list[Mirror]:
        for name in ("tags", "tagSets", "repos"):
            ignored = self._step.get(name)
            if ignored is not None:
                ignored.note("regsync does not read this for one image")
        here, there = read_image(source, source_text), read_image(target, target_text)
        if here is None or there is None:
            return []
        if here.digest:
            digest_left_out(source, here, f"{there.repository}")
            return []
        tag, new = here.tag or "latest", there.tag or "latest"
        destination = destination_of(here.repository.path, there.repository.registry, there.repository.path, tag="{tag}" if new == tag else new)
        return self._mirrors(here, destination, [TagFilter(names=(tag,))])

    def _repository(self, source: Piece, target: Piece, source_text: str, target_text: str) -> list[Mirror]:
        here, there = read_image(source, source_text), read_image(target, target_text)
        if here is None or there is None:
            return []
        for piece, image in ((source, here), (target, there)):
            if image.tag or image.digest:
                piece.note("a repository is meant, its tag or digest is not read")
        repos = self._step.get("repos")
        if repos is not None:
            repos.note("regsync does not read this for one repository")
        destination = destination_of(here.repository.path, there.repository.registry, there.repository.path)
        return self._mirrors(here, destination, read_tags(self._step))

    def _registry(self, source: Piece, target: Piece, source_text: str, target_text: str) -> list[Mirror]:
        registry, there = read_registry(source, source_text), read_location(target, target_text)
        if not registry or there is None:
            return []
        source_value = self._whole(registry)
        if source_value is None:
            return []
        base = Mirror(registry, source_value, (Destination(*there),), file=self._step.document.file, line=self._step.line)
        return self._settled(base, read_tags(self._step))

    def _whole(self, registry: str) -> Source | None:
        """Return what `repos` selects of *registry*; None, with a remark, when that would be more than was asked for."""
        repos = self._step.get("repos")
        if repos is None:
            return Source(registry, namespaces=("",))
        repos.knows(("allow", "deny"))
        namespaces: list[str] = []
        repositories: list[str] = []
        allow = repos.get("allow")
        for piece in allow.items() if allow is not None else []:
            found = repositories_of(checked_search(piece))
            if found is None:
                piece.lost("repositories are chosen by path or namespace, not by expression", hint="name them: `imgsync list REGISTRY` shows what there is")
                continue
            namespaces += found[0]
            repositories += found[1]
        if allow is not None and allow.value and not namespaces and not repositories:
            return None
        if not namespaces and not repositories:
            namespaces = [""]
        return Source(registry, tuple(namespaces), tuple(repositories), denied(repos, crossing=True, what="repositories", of="source"))

    def _mirrors(self, here: Reference, destination: Destination, filters: list[TagFilter]) -> list[Mirror]:
        source = Source(here.repository.registry, repositories=(here.repository.path,))
        base = Mirror(mirror_name(here.repository.path), source, (destination,), file=self._step.document.file, line=self._step.line)
        return self._settled(base, filters)

    def _settled(self, base: Mirror, filters: list[TagFilter]) -> list[Mirror]:
        platforms = self._platforms()
        return [replace(base, tags=tags, platforms=platforms, referrers=self._referrers(tags)) for tags in filters]

    def _platforms(self) -> tuple[str, ...] | None:
        one, several = self._step.get("platform"), self._step.get("platforms")
        names = list(self._step.texts("platforms"))
        if one is not None and not names:
            names = [one.text()]
            one.note("the tag names an index of this one platform, where regsync leaves the index out")
        elif several is not None and names:
            several.note("the index is made anew of these platforms, where regsync keeps it whole and leaves images out")
        return checked_platforms(one or several, names)

    def _referrers(self, tags: TagFilter) -> tuple[str, ...] | bool:
        wanted = self._setting("referrers")
        if (wanted is not None and wanted.value is True) or self._is_on("digestTags"):
            return self._artifact_types()
        # Tags of signatures are tags like any other to regsync; here they travel with their image.
        return selects(tags, SIGNATURE)

    def _artifact_types(self) -> tuple[str, ...] | bool:
        filters = self._setting("referrerFilters")
        types: list[str] = []
        for piece in filters.items() if filters is not None else []:
            piece.knows(("artifactType", "annotations"))
            annotations = piece.get("annotations")
            if annotations is not None and annotations.value:
                annotations.lost("referrers are chosen by artifact type alone")
            kind = piece.get("artifactType")
            if kind is None:
                return True
            types.append(kind.text())
        return tuple(types) or True

    def _setting(self, name: str) -> Piece | None:
        found = self._step.get(name)
        return found if found is not None or self._defaults is None else self._defaults.get(name)

    def _is_on(self, name: str) -> bool:
        found = self._setting(name)
        return found is not None and found.value is True
