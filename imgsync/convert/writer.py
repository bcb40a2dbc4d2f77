"""What was converted as the text of our own files, tidy, with nothing in it that holds anyhow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import yaml

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.model import Conversion, RegistryEntry
from imgsync.filters.tags import TagFilter

_WIDTH = 160
_SCHEMAS = {"mirror": "../schema/mirror.schema.json", "registries": "schema/registries.schema.json"}


class _Dumper(yaml.SafeDumper):
    """Lists of plain values on one line, other lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - yaml's interface
        """Indent lists too."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's interface
        """Write everything out."""
        return True


def _list_node(dumper: _Dumper, values: list[Any]) -> yaml.Node:
    flat = all(not isinstance(value, list | dict) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flat)


_Dumper.add_representer(list, _list_node)


def mirrors_text(conversion: Conversion) -> str:
    """Return the document of `mirrors.d`."""
    document = {"version": 1, "mirrors": [_mirror(mirror) for mirror in conversion.mirrors]}
    return _with_modeline("mirror", conversion.format, document)


def registries_text(conversion: Conversion) -> str:
    """Return `registries.yaml`; "" when there is nothing to say in it."""
    if not conversion.registries:
        return ""
    document = {"version": 1, "registries": {entry.registry: _registry(entry) for entry in conversion.registries}}
    return _with_modeline("registries", conversion.format, document)


def _with_modeline(schema: str, source_format: str, document: object) -> str:
    written = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH, default_flow_style=False)
    return f"# yaml-language-server: $schema={_SCHEMAS[schema]}\n# Converted from a file of {source_format}.\n{written}"


def _mirror(mirror: Mirror) -> dict[str, Any]:
    settings: dict[str, Any] = {"name": mirror.name, "source": _source(mirror.source)}
    tags = _tags(mirror.tags)
    if tags:
        settings["tags"] = tags
    if mirror.platforms is not None:
        settings["platforms"] = list(mirror.platforms)
    if mirror.referrers is not True:
        settings["referrers"] = list(mirror.referrers) if isinstance(mirror.referrers, tuple) else mirror.referrers
    settings["destinations"] = [_destination(one) for one in mirror.destinations]
    concurrency = _different(asdict(mirror.concurrency), {"images": 4, "queries": 10, "blobs": 3})
    if concurrency:
        settings["concurrency"] = concurrency
    return settings


def _source(source: Source) -> str | dict[str, Any]:
    if len(source.repositories) == 1 and not source.namespaces and not source.exclude:
        return f"{source.registry}/{source.repositories[0]}"
    return {"registry": source.registry} | _lists(("namespaces", source.namespaces), ("repositories", source.repositories), ("exclude", source.exclude))


def _tags(tags: TagFilter) -> dict[str, Any]:
    lists = _lists(("names", tags.names), ("include", tags.include), ("regex", tags.regex), ("semver", tags.semver), ("extract", tags.extract))
    for name in ("semver", "extract"):
        if len(lists.get(name, ())) == 1:
            lists[name] = lists[name][0]
    rest = {"prereleases": tags.prereleases, "newest": tags.newest, "at_least": tags.at_least}
    return lists | _lists(("exclude", tags.exclude)) | _different(rest, {"prereleases": False, "newest": None, "at_least": 1})


def _destination(destination: Destination) -> str | dict[str, Any]:
    if (destination.repository, destination.tag) == ("{path}", "{tag}"):
        return f"{destination.registry}/{destination.namespace}".rstrip("/")
    return {"registry": destination.registry} | _different(
        {"namespace": destination.namespace, "repository": destination.repository, "tag": destination.tag},
        {"namespace": "", "repository": "{path}", "tag": "{tag}"},
    )


def _registry(entry: RegistryEntry) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if entry.username:
        settings["credentials"] = {"username": entry.username, "password": entry.password or {"file": entry.password_file}}
    files = _different({"ca": entry.ca, "cert": entry.cert, "key": entry.key}, {"ca": "", "cert": "", "key": ""})
    if not entry.tls:
        settings["tls"] = False
    elif files or not entry.verify:
        settings["tls"] = files | ({} if entry.verify else {"verify": False})
    rest = {"rate": entry.rate, "connections": entry.connections, "create_repositories": entry.create_repositories}
    return settings | _different(rest, {"rate": "", "connections": None, "create_repositories": False})


def _lists(*named: tuple[str, Iterable[str]]) -> dict[str, Any]:
    return {name: list(values) for name, values in named if values}


def _different(values: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != usual[name]}
