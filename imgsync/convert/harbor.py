"""
Convert Harbor's replication rules: the JSON of `GET /api/v2.0/replication/policies`.

Sources: api/v2.0/swagger.yaml, src/pkg/reg and src/controller/replication/flow of Harbor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imgsync.config.model import Destination, Mirror, Prune, Source
from imgsync.config.schedule import Schedule
from imgsync.convert.build_mirrors import derive_name
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.harbor_filters import TagPatterns, read_patterns
from imgsync.convert.harbor_paths import group_by_destination
from imgsync.convert.harbor_registries import HarborRegistries
from imgsync.convert.input_file import KeyRemark, Node
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.convert.schedules import read_cron
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import is_repository_path

NAME = "harbor"
HAS_NAMED_ENTRIES = True
_RULE_KEYS = ("name", "description", "src_registry", "dest_registry", "dest_namespace", "dest_namespace_replace_count", "trigger", "filters", "enabled")
_REMARKS = {
    "copy_by_chunk": KeyRemark("not needed: imgsync uploads in chunks if the registry requires it; `chunk_size` in registries.yaml sets their size"),
    "single_active_replication": KeyRemark("not needed: runs with one state never overlap"),
    "skip_if_running": KeyRemark("not needed: runs with one state never overlap"),
}
_SILENT_KEYS = ("id", "creator", "creation_time", "update_time", "deletion", "replicate_deletion", "override", "speed")
_UNTAGGED = "Harbor also replicates artifacts without a tag, and imgsync does not"


def is_format(value: Any) -> bool:
    """Return whether *value* is a list of rules, or one."""
    rules = value if isinstance(value, list) else [value]
    return bool(rules) and all(isinstance(one, dict) and ("src_registry" in one or "dest_registry" in one) for one in rules)


def convert(nodes: list[Node], options: ConvertOptions, registries: RegistryCollector) -> list[Mirror]:
    """Convert replication rules; report errors and remarks in the nodes."""
    root = nodes[0]
    rules = root.read_items() if isinstance(root.value, list) else [root]
    hosts = HarborRegistries(registries, options.variables)
    return [mirror for rule in rules for mirror in _RuleReader(rule, hosts).read_mirrors()]


class _RuleReader:
    """Reads one replication rule."""

    def __init__(self, rule: Node, hosts: HarborRegistries) -> None:
        self._rule = rule
        self._hosts = hosts

    def read_mirrors(self) -> list[Mirror]:
        """Return the mirrors, one for each way to change paths."""
        self._rule.check_keys((*_RULE_KEYS, *_SILENT_KEYS, *_REMARKS))
        self._rule.remark_keys(_REMARKS)
        name = self._rule.require("name")
        if not self._check_sides() or name is None:
            return []
        source = self._hosts.read_source(self._rule)
        target = self._hosts.read_target(self._rule)
        namespace = self._read_namespace()
        names, tags = read_patterns(self._rule)
        if not source or not target or namespace is None or names is None or tags is None:
            return []
        self._remark_behaviour()
        schedule = self._read_schedule()
        groups, failed = group_by_destination(names, registry=target, namespace=namespace, replaced=self._read_replace_count())
        for reason in failed:
            self._rule.report_lost(f"{reason}; these repositories are skipped", hint="write a mirror for each namespace")
        return [self._build_mirror(name.read_text(), replace(one, registry=source), destination, tags, schedule) for destination, one in groups]

    def _check_sides(self) -> bool:
        """Report an error unless one side is Harbor itself."""
        sides = [self._hosts.is_local(self._rule.get(name)) for name in ("src_registry", "dest_registry")]
        if sides.count(True) != 1:
            self._rule.report_error("one of src_registry and dest_registry must be Harbor itself (missing, or with the id 0)")
        return sides.count(True) == 1

    def _build_mirror(self, name: str, source: Source, destination: Destination, tags: TagPatterns, schedule: Schedule | None) -> Mirror:
        deletes = self._rule.read_bool("replicate_deletion") or self._rule.read_bool("deletion")
        return Mirror(
            name or derive_name((*source.repositories, *source.namespaces)[0]),
            source,
            (destination,),
            description=self._read_description(),
            suspend=self._rule.read_bool("enabled") is False,
            schedule=schedule,
            tags=TagFilter(names=tags.names, include=tags.include, regex=tags.regex, exclude=tags.exclude, exclude_regex=tags.exclude_regex),
            immutable=("*",) if self._rule.read_bool("override") is False else (),
            prune=Prune() if deletes else None,
            file=self._rule.document.file,
            line=self._rule.line,
        )

    def _read_namespace(self) -> str | None:
        node = self._rule.get("dest_namespace")
        namespace = node.read_text().strip("/") if node is not None else ""
        if node is not None and namespace and not is_repository_path(namespace):
            node.report_error(f"invalid namespace {namespace!r}", hint="use lower-case words joined by '/'")
            return None
        return namespace

    def _read_replace_count(self) -> int:
        node = self._rule.get("dest_namespace_replace_count")
        return node.read_int() if node is not None else -1

    def _read_description(self) -> str:
        node = self._rule.get("description")
        text = " ".join(node.read_text().split()) if node is not None and node.value else ""
        # mirrors.d has no variables, so `${` is an error there.
        return text.replace("${", "$ {")

    def _remark_behaviour(self) -> None:
        self._rule.report_note(_UNTAGGED)
        speed = self._rule.get("speed")
        if speed is not None and speed.read_int() > 0:
            speed.report_lost("imgsync does not limit the bandwidth", hint="`rate` and `connections` in registries.yaml limit requests")
        if self._rule.read_bool("replicate_deletion") or self._rule.read_bool("deletion"):
            self._rule.report_note("`prune` deletes only tags that imgsync itself pushed, at most 20 in one plan")
        if self._rule.read_bool("override") is False:
            self._rule.report_note("`immutable` never changes a tag that was mirrored, as `override: false`")

    def _read_schedule(self) -> Schedule | None:
        trigger = self._rule.get("trigger")
        kind = trigger.get("type") if trigger is not None else None
        if trigger is None or kind is None or kind.value == "manual":
            return None
        settings = trigger.get("trigger_settings")
        cron = settings.get("cron") if settings is not None else None
        if kind.value == "scheduled":
            return read_cron(cron, has_seconds=True) if cron is not None else None
        hint = "add a webhook in Harbor, and its sender to `serve: {events: …}` in registries.yaml"
        trigger.report_lost("`imgsync serve` reacts to a push or a deletion only if Harbor sends it events", hint=hint)
        return None
