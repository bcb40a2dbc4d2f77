"""Format a conversion as YAML, without default settings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import yaml

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.conversion import Conversion, RegistryEntry
from imgsync.filters.tags import TagFilter

_WIDTH = 160
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


def format_mirrors(conversion: Conversion) -> str:
    """Return the text of the file in `mirrors.d`."""
    document = {"version": 1, "mirrors": [_build_mirror(mirror) for mirror in conversion.mirrors]}
    return _dump_document("mirror", conversion.format, document)


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
    settings: dict[str, Any] = {"name": mirror.name, "source": _build_source(mirror.source)}
    tags = _build_tags(mirror.tags)
    if tags:
        settings["tags"] = tags
    if mirror.platforms is not None:
        settings["platforms"] = list(mirror.platforms)
    if mirror.referrers is not True:
        settings["referrers"] = list(mirror.referrers) if isinstance(mirror.referrers, tuple) else mirror.referrers
    settings["destinations"] = [_build_destination(one) for one in mirror.destinations]
    concurrency = _drop_defaults(asdict(mirror.concurrency), {"images": 4, "queries": 10, "blobs": 3})
    if concurrency:
        settings["concurrency"] = concurrency
    return settings


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
