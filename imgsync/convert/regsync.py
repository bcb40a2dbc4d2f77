"""
Convert a regsync file: `creds`, `defaults` and `sync`.

Sources: cmd/regsync/config.go and root.go of regclient, https://regclient.org/usage/regsync/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from imgsync.config.model import Concurrency, Destination, Mirror, Source
from imgsync.config.schedule import Schedule
from imgsync.convert.build_mirrors import build_destination, derive_name, derive_tag_template
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.expressions import read_search
from imgsync.convert.fill_node import fill_node
from imgsync.convert.input_file import KeyRemark, Node
from imgsync.convert.read_references import read_image, read_location, read_platforms, read_registry, select_repositories
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.convert.regsync_creds import read_creds
from imgsync.convert.regsync_tags import SIGNATURE_TAG, read_denied, read_tags, selects_tag
from imgsync.convert.schedules import read_cron, read_interval
from imgsync.convert.shared_remarks import report_digest
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Reference

NAME = "regsync"
HAS_NAMED_ENTRIES = False
_NOT_NEEDED = KeyRemark("not needed")
_SHARED_KEYS = {
    "ratelimit": KeyRemark("not needed: imgsync obeys the limits that registries report"),
    "backup": KeyRemark("imgsync does not back up a tag before it moves", lost=True),
    "hooks": KeyRemark("imgsync does not run hooks", lost=True),
    "includeExternal": KeyRemark("imgsync does not copy external (non-distributable) layers", lost=True),
    "referrerSource": KeyRemark("imgsync reads referrers from the repository of their image", lost=True),
    "referrerTarget": KeyRemark("imgsync writes referrers to the repository of their image", lost=True),
    "referrerSlow": _NOT_NEEDED,
    "fastCheck": _NOT_NEEDED,
    "forceRecursive": KeyRemark("`imgsync apply --refresh` checks the registries again"),
}
_DEFAULTS_KEYS = {
    "blobLimit": _NOT_NEEDED,
    "cacheCount": _NOT_NEEDED,
    "cacheTime": _NOT_NEEDED,
    "userAgent": _NOT_NEEDED,
    "skipDockerConfig": KeyRemark("imgsync uses the logins of podman and docker for registries without credentials in registries.yaml"),
}
# The types that regsync copies by default.
_MEDIA_TYPES = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
}
_SCHEDULE_KEYS = ("interval", "schedule")
_FILTER_KEYS = ("digestTags", "referrers", "referrerFilters")
_STEP_KEYS = ("mediaTypes", "source", "target", "type", "tags", "tagSets", "repos", "platform", "platforms")
_MAX_IMAGES = 256


def is_format(value: Any) -> bool:
    """Return whether *value* is a regsync file."""
    return isinstance(value, dict) and isinstance(value.get("sync"), list)


def convert(nodes: list[Node], options: ConvertOptions, registries: RegistryCollector) -> list[Mirror]:
    """Convert a regsync file; report errors and remarks in the nodes."""
    root = nodes[0]
    root.check_keys(("version", "creds", "defaults", "sync"))
    version = root.get("version")
    if version is not None and version.read_int() > 1:
        version.report_error("unknown version", hint="imgsync reads version 1")
    read_creds(root, registries, variables=options.variables)
    defaults = root.get("defaults")
    concurrency = Concurrency()
    if defaults is not None:
        defaults.check_keys((*_SHARED_KEYS, *_DEFAULTS_KEYS, *_FILTER_KEYS, *_SCHEDULE_KEYS, "parallel", "mediaTypes"))
        _check_media_types(defaults)
        defaults.remark_keys(_SHARED_KEYS | _DEFAULTS_KEYS)
        concurrency = _read_concurrency(defaults)
    steps = root.require("sync")
    nodes = steps.read_items() if steps is not None else []
    return [replace(mirror, concurrency=concurrency) for step in nodes for mirror in _StepReader(step, defaults, options.variables).read_mirrors()]


def _read_concurrency(defaults: Node) -> Concurrency:
    parallel = defaults.get("parallel")
    images = parallel.read_int() if parallel is not None else 0
    return Concurrency(images=min(images, _MAX_IMAGES)) if images > 0 else Concurrency()


def _check_media_types(block: Node) -> None:
    """Report an error if *block* skips images by media type."""
    types = block.read_texts("mediaTypes")
    found = block.get("mediaTypes")
    if found is not None and types and not set(types) >= _MEDIA_TYPES:
        found.report_error("imgsync does not skip images by media type", hint="remove the setting if images of all types may be copied")


class _StepReader:
    """Reads one entry of `sync`."""

    def __init__(self, step: Node, defaults: Node | None, variables: Mapping[str, str]) -> None:
        self._step = step
        self._variables = variables
        self._defaults = defaults

    def read_mirrors(self) -> list[Mirror]:
        """Return the mirrors of this step."""
        self._step.check_keys((*_SHARED_KEYS, *_FILTER_KEYS, *_SCHEDULE_KEYS, *_STEP_KEYS))
        self._step.remark_keys(_SHARED_KEYS)
        _check_media_types(self._step)
        kind, source, target = (self._step.require(name) for name in ("type", "source", "target"))
        if kind is None or source is None or target is None:
            return []
        read = {"image": self._read_image, "repository": self._read_repository, "registry": self._read_registry}.get(kind.read_text())
        if read is None:
            kind.report_error(f"unknown type {kind.read_text()!r}", hint="use image, repository or registry")
            return []
        texts = self._read_texts(source, target)
        return read(source, target, *texts) if texts is not None else []

    def _read_texts(self, source: Node, target: Node) -> tuple[str, str] | None:
        """Return source and target with filled templates, None if unsupported."""
        filled: list[str] = []
        for node in (source, target):
            # Only the target may refer to the source.
            fields = {".Sync.Source": filled[0]} if filled else {}
            text = fill_node(node, node.read_text(), variables=self._variables, fields=fields, what="step")
            if text is None:
                return None
            if text.startswith(("ocidir://", "ocifile://")):
                node.report_lost("imgsync copies only between registries; the step is skipped")
                return None
            filled.append(text)
        return filled[0], filled[1]

    def _read_image(self, source: Node, target: Node, source_text: str, target_text: str) -> list[Mirror]:
        for name in ("tags", "tagSets", "repos"):
            self._note_ignored(name, "image")
        origin, copy = read_image(source, source_text), read_image(target, target_text)
        if origin is None or copy is None:
            return []
        if copy.digest:
            report_digest(target)
            return []
        tag, new_tag = origin.tag or "latest", copy.tag or "latest"
        # A pin names the tag that is pushed, whatever the source calls it.
        name, template = (f"{new_tag}@{origin.digest}", "{tag}") if origin.digest else (tag, derive_tag_template(tag, new_tag))
        destination = build_destination(origin.repository.path, copy.repository.registry, copy.repository.path, tag=template)
        return self._build_repository(origin, destination, [TagFilter(names=(name,))])

    def _read_repository(self, source: Node, target: Node, source_text: str, target_text: str) -> list[Mirror]:
        origin, copy = read_image(source, source_text), read_image(target, target_text)
        if origin is None or copy is None:
            return []
        for node, image in ((source, origin), (target, copy)):
            if image.tag or image.digest:
                node.report_note("regsync ignores the tag or digest for `type: repository`")
        self._note_ignored("repos", "repository")
        destination = build_destination(origin.repository.path, copy.repository.registry, copy.repository.path)
        return self._build_repository(origin, destination, read_tags(self._step))

    def _note_ignored(self, name: str, kind: str) -> None:
        ignored = self._step.get(name)
        if ignored is not None:
            ignored.report_note(f"regsync ignores this for `type: {kind}`")

    def _read_registry(self, source: Node, target: Node, source_text: str, target_text: str) -> list[Mirror]:
        registry, location = read_registry(source, source_text), read_location(target, target_text)
        if not registry or location is None:
            return []
        selection = self._read_repos(registry)
        base = Mirror(registry, selection, (Destination(*location),), file=self._step.document.file, line=self._step.line)
        return self._build_mirrors(base, read_tags(self._step))

    def _read_repos(self, registry: str) -> Source:
        """Return what `repos` selects."""
        repos = self._step.get("repos")
        if repos is None:
            return Source(registry, namespaces=("",))
        repos.check_keys(("allow", "deny"))
        allow = repos.get("allow")
        searches = [read_search(node) for node in allow.read_items()] if allow is not None else []
        denied = read_denied(repos, crossing=True)
        chosen = select_repositories(searches)
        return replace(chosen, registry=registry, exclude=denied.globs, exclude_regex=denied.expressions)

    def _build_repository(self, origin: Reference, destination: Destination, filters: list[TagFilter]) -> list[Mirror]:
        path = origin.repository.path
        source = Source(origin.repository.registry, repositories=(path,))
        base = Mirror(derive_name(path), source, (destination,), file=self._step.document.file, line=self._step.line)
        return self._build_mirrors(base, filters)

    def _build_mirrors(self, base: Mirror, filters: list[TagFilter]) -> list[Mirror]:
        platforms, schedule = self._read_platforms(), self._read_schedule()
        return [replace(base, schedule=schedule, tags=tags, platforms=platforms, referrers=self._read_referrers(tags)) for tags in filters]

    def _read_schedule(self) -> Schedule | None:
        # Of the step or of `defaults`, a schedule comes before an interval.
        schedule, interval = self._get_setting("schedule"), self._get_setting("interval")
        if schedule is not None and schedule.value:
            return read_cron(schedule, hint="regsync uses the time zone of its machine, imgsync UTC; `zone` sets another")
        return read_interval(interval, interval.read_text()) if interval is not None and interval.value else None

    def _read_platforms(self) -> tuple[str, ...] | None:
        one, several = self._step.get("platform"), self._step.get("platforms")
        names = list(self._step.read_texts("platforms"))
        if one is not None and not names:
            names = [one.read_text()]
            one.report_note("the destination gets an index with this platform; regsync copies the image without its index")
        elif several is not None and names:
            several.report_note("the destination gets a new index with these platforms; regsync keeps the index and skips images")
        return read_platforms(one or several, names)

    def _read_referrers(self, tags: TagFilter) -> tuple[str, ...] | bool:
        referrers = self._get_setting("referrers")
        if (referrers is not None and referrers.value is True) or self._is_on("digestTags"):
            return self._read_artifact_types()
        # regsync copies signature tags like other tags. imgsync copies signatures with their image.
        return selects_tag(tags, SIGNATURE_TAG)

    def _read_artifact_types(self) -> tuple[str, ...] | bool:
        filters = self._get_setting("referrerFilters")
        nodes = filters.read_items() if filters is not None else []
        types: list[str] = []
        for node in nodes:
            node.check_keys(("artifactType", "annotations"))
            annotations, artifact_type = node.get("annotations"), node.get("artifactType")
            if annotations is not None and annotations.value:
                annotations.report_lost("imgsync selects referrers only by artifact type; these referrers are skipped")
            elif artifact_type is None:
                return True
            else:
                types.append(artifact_type.read_text())
        return tuple(types) or not nodes

    def _get_setting(self, name: str) -> Node | None:
        """Return a setting of the step, else of `defaults`."""
        found = self._step.get(name)
        return found if found is not None or self._defaults is None else self._defaults.get(name)

    def _is_on(self, name: str) -> bool:
        found = self._get_setting(name)
        return found is not None and found.value is True
