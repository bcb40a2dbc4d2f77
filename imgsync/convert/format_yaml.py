"""Format a conversion as YAML, without default settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import yaml

from imgsync.config.model import Concurrency, Destination, Mirror, Source
from imgsync.config.schedule import Schedule
from imgsync.config.yaml_nodes import YamlLimits
from imgsync.convert.conversion import Conversion, RegistryEntry
from imgsync.filters.tags import TagFilter
from imgsync.text.units import format_declared_duration

_WIDTH = 160
_LIMITS = YamlLimits()
# Leaves room for what people add to a file.
_FILL = 0.8
_SCHEMAS = {"mirror": "../schema/mirror.schema.json", "registries": "schema/registries.schema.json"}


class _Dumper(yaml.SafeDumper):
    """Writes lists of scalars on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - yaml's interface
        """Indent lists below their key."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's interface
        """Write repeated values out instead of as aliases."""
        return True


def _represent_list(dumper: _Dumper, values: list[Any]) -> yaml.Node:
    flat = all(not isinstance(value, list | dict) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


_Dumper.add_representer(list, _represent_list)


# The check and the output need the same texts, which take seconds for thousands of mirrors.
@lru_cache(maxsize=1)
def format_mirror_files(conversion: Conversion) -> Mapping[str, str]:
    """Return the files of `mirrors.d`, each within a file's limits."""
    parts = _split([_build_mirror(one) for one in conversion.mirrors])
    texts = [_dump_document("mirror", conversion.format, {"version": 1, "mirrors": mirrors}) for mirrors in parts]
    return {f"{conversion.format}{f'-{number}' if number > 1 else ''}.yaml": text for number, text in enumerate(texts, 1)}


def _split(mirrors: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Split *mirrors* so that no part exceeds the limits of a file."""
    parts: list[list[dict[str, Any]]] = [[]]
    values = size = 0
    for mirror in mirrors:
        values += _count_values(mirror)
        # Characters take up to 4 bytes, and lists are indented.
        size += 2 * len(str(mirror))
        if parts[-1] and (values > _LIMITS.values * _FILL or size > _LIMITS.size_bytes * _FILL):
            parts.append([])
            values, size = _count_values(mirror), 2 * len(str(mirror))
        parts[-1].append(mirror)
    return parts


def _count_values(value: Any) -> int:
    """Count *value* as the limit of a file counts it, or higher."""
    if isinstance(value, dict):
        return 2 + sum(1 + _count_values(one) for one in value.values())
    return 2 + sum(_count_values(one) for one in value) if isinstance(value, list) else 1


def format_registries(conversion: Conversion) -> str:
    """Return the text of `registries.yaml`, "" without any settings."""
    if not conversion.registries:
        return ""
    document = {"version": 1, "registries": {entry.registry: _build_registry(entry) for entry in conversion.registries}}
    return _dump_document("registries", conversion.format, document)


def _dump_document(schema: str, source_format: str, document: object) -> str:
    written = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False)
    return f"# yaml-language-server: $schema={_SCHEMAS[schema]}\n# Converted from a file of {source_format}.\n{written}"


def _build_mirror(mirror: Mirror) -> dict[str, Any]:
    settings: dict[str, Any] = {"name": mirror.name} | _drop_defaults(
        {"description": mirror.description, "suspend": mirror.suspend}, {"description": "", "suspend": False}
    )
    if mirror.schedule is not None:
        settings["schedule"] = _build_schedule(mirror.schedule)
    settings["source"] = _build_source(mirror.source)
    tags = _build_tags(mirror.tags)
    if tags:
        settings["tags"] = tags
    if mirror.platforms is not None:
        settings["platforms"] = list(mirror.platforms)
    if mirror.referrers is not True:
        settings["referrers"] = list(mirror.referrers) if isinstance(mirror.referrers, tuple) else mirror.referrers
    settings["destinations"] = [_build_destination(one) for one in mirror.destinations]
    if mirror.immutable:
        settings["immutable"] = list(mirror.immutable)
    if mirror.prune is not None:
        settings["prune"] = True
    concurrency = _drop_defaults(asdict(mirror.concurrency), asdict(Concurrency()))
    if concurrency:
        settings["concurrency"] = concurrency
    return settings


def _build_schedule(schedule: Schedule) -> dict[str, Any]:
    if not schedule.cron:
        return {"every": format_declared_duration(schedule.every_seconds)}
    return {"cron": schedule.cron} | _drop_defaults({"zone": schedule.zone}, {"zone": Schedule().zone})


def _build_source(source: Source) -> str | dict[str, Any]:
    if source == Source(source.registry, repositories=source.repositories[:1]):
        return f"{source.registry}/{source.repositories[0]}"
    names = ("namespaces", "repositories", "include", "regex", "exclude", "exclude_regex")
    return {"registry": source.registry} | _build_lists(*((name, getattr(source, name)) for name in names))


def _build_tags(tags: TagFilter) -> dict[str, Any]:
    lists = _build_lists(("names", tags.names), ("include", tags.include), ("regex", tags.regex), ("semver", tags.semver), ("extract", tags.extract))
    for name in ("semver", "extract"):
        if len(lists.get(name, ())) == 1:
            lists[name] = lists[name][0]
    rest = {"prereleases": tags.prereleases, "newest": tags.newest, "at_least": tags.at_least}
    excluded = _build_lists(("exclude", tags.exclude), ("exclude_regex", tags.exclude_regex))
    return lists | excluded | _drop_defaults(rest, {"prereleases": False, "newest": None, "at_least": 1})


def _build_destination(destination: Destination) -> str | dict[str, Any]:
    if (destination.repository, destination.tag) == ("{path}", "{tag}"):
        return f"{destination.registry}/{destination.namespace}".rstrip("/")
    return {"registry": destination.registry} | _drop_defaults(
        {"namespace": destination.namespace, "repository": destination.repository, "tag": destination.tag},
        {"namespace": "", "repository": "{path}", "tag": "{tag}"},
    )


def _build_registry(entry: RegistryEntry) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if entry.username:
        settings["credentials"] = {"username": entry.username, "password": entry.password or {"file": entry.password_file}}
    files = _drop_defaults({"ca": entry.ca, "cert": entry.cert, "key": entry.key}, {"ca": "", "cert": "", "key": ""})
    if not entry.tls:
        settings["tls"] = False
    elif files or not entry.verify:
        settings["tls"] = files | ({} if entry.verify else {"verify": False})
    rest = {"rate": entry.rate, "connections": entry.connections, "create_repositories": entry.create_repositories}
    return settings | _drop_defaults(rest, {"rate": "", "connections": None, "create_repositories": False})


def _build_lists(*pairs: tuple[str, Iterable[str]]) -> dict[str, Any]:
    return {name: list(values) for name, values in pairs if values}


def _drop_defaults(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != defaults[name]}
