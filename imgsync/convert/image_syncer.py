"""
Convert image-syncer files: `auth` and `images`.

Both are in one file or in two, JSON or YAML.

Sources: README.md, pkg/utils/url.go and pkg/client/config.go of image-syncer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.build_mirrors import build_destination, derive_name, derive_tag_template
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.expressions import convert_names
from imgsync.convert.fill_node import fill_shell_variables
from imgsync.convert.input_file import Node
from imgsync.convert.read_references import read_image, read_registry
from imgsync.convert.regexes import match_whole
from imgsync.convert.registry_settings import Login, RegistryCollector
from imgsync.convert.shared_remarks import COPIES_REFERRERS, LIMIT_PLATFORMS, report_digest
from imgsync.errors import UsageError
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Reference, is_tag
from imgsync.system.dataclass import dataclass

NAME = "image-syncer"
HAS_NAMED_ENTRIES = False
_LOGIN_KEYS = ("username", "password", "insecure")
_WHOLE_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def is_format(value: Any) -> bool:
    """Return whether *value* is an image-syncer file."""
    return isinstance(value, dict) and (_is_complete(value) or _is_auth(value) or _is_images(value))


def convert(nodes: list[Node], options: ConvertOptions, registries: RegistryCollector) -> list[Mirror]:
    """
    Convert image-syncer files; report errors and remarks in the nodes.

    Raises:
        UsageError: No file has images, or two files have the same part.
    """
    auths, images = _find_parts(nodes)
    for auth in auths:
        _read_auth(auth, registries)
    if not images:
        raise UsageError("the file has logins but no images", hint="pass both files: imgsync convert auth.yaml images.yaml")
    for part in images:
        part.report_note("imgsync copies all platforms, as image-syncer does without --os and --arch", hint=LIMIT_PLATFORMS)
        part.report_note(COPIES_REFERRERS)
    return [mirror for part in images for rule, node in part.read_entries() for mirror in _RuleReader(rule, node, options.variables).read_mirrors()]


def _is_complete(value: dict[str, Any]) -> bool:
    images = value.get("images")
    return isinstance(images, dict) and bool(images) and all(one is None or isinstance(one, str | list) for one in images.values())


def _is_auth(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(one, dict) and one and set(one) & set(_LOGIN_KEYS) for one in value.values())


def _is_images(value: dict[str, Any]) -> bool:
    return all(isinstance(one, str | list) for one in value.values()) and any("/" in name or "/" in one for name, one in value.items())


def _find_parts(nodes: list[Node]) -> tuple[list[Node], list[Node]]:
    """Return the nodes of `auth` and `images`."""
    found: dict[str, list[Node]] = {"auth": [], "images": []}
    for node in nodes:
        if isinstance(node.value, dict) and "images" in node.value:
            node.check_keys(found)
            for name, parts in found.items():
                part = node.get(name)
                if part is not None:
                    parts.append(part)
        else:
            found["auth" if isinstance(node.value, dict) and _is_auth(node.value) else "images"].append(node)
    return found["auth"], found["images"]


def _read_auth(auth: Node, registries: RegistryCollector) -> None:
    for name, entry in auth.read_entries():
        entry.check_keys(_LOGIN_KEYS)
        host, _, namespace = name.rstrip("/").partition("/")
        registry = read_registry(entry, host)
        user, password = entry.get("username"), entry.get("password")
        if user is not None or password is not None:
            values = tuple(node.read_text() if node is not None else "" for node in (user, password))
            login = Login(values, username=_read_variable(values[0]), password=_read_variable(values[1]), namespace=namespace)
            registries.add_login(entry, registry, login)
        insecure = entry.get("insecure")
        if insecure is not None and entry.read_bool("insecure"):
            insecure.report_note("converted to plain http, as image-syncer documents it", hint="for https without verification, write `tls: {verify: false}`")
            registries.update(registry, tls=False)


def _read_variable(text: str) -> str:
    found = _WHOLE_VARIABLE.fullmatch(text)
    return f"${{{found[1] or found[2]}}}" if found is not None else ""


@dataclass(frozen=True, slots=True)
class _Images:
    """One side of a rule: a repository and a selection."""

    image: Reference
    tags: tuple[str, ...] = ()
    search: str = ""


class _RuleReader:
    """Reads one entry of `images`: a source and its destinations."""

    def __init__(self, rule: str, node: Node, variables: Mapping[str, str]) -> None:
        self._rule = rule
        self._variables = variables
        self._node = node

    def read_mirrors(self) -> list[Mirror]:
        """Return the mirrors, several if tags are renamed."""
        source = self._read_side(self._node, self._rule)
        nodes = self._node.read_items() if isinstance(self._node.value, list) else [self._node]
        if not nodes:
            self._node.report_error("expected at least one destination")
        targets = [(node, target) for node in nodes if (target := self._read_target(node)) is not None]
        if source is None:
            return []
        destinations: dict[TagFilter, list[Destination]] = {}
        for node, target in targets:
            for tags, destination in self._pair_tags(source, node, target):
                destinations.setdefault(tags, []).append(destination)
        return [self._build_mirror(source, tags, found) for tags, found in destinations.items()]

    def _build_mirror(self, source: _Images, tags: TagFilter, destinations: list[Destination]) -> Mirror:
        repository = source.image.repository
        origin = Source(repository.registry, repositories=(repository.path,))
        targets = tuple(dict.fromkeys(destinations))
        return Mirror(derive_name(repository.path), origin, targets, tags=tags, file=self._node.document.file, line=self._node.line)

    def _read_target(self, node: Node) -> _Images | None:
        text = node.read_text()
        if not text:
            node.report_error("the destination is empty", hint="write REGISTRY/REPOSITORY")
            return None
        return self._read_side(node, text)

    def _pair_tags(self, source: _Images, node: Node, target: _Images) -> list[tuple[TagFilter, Destination]]:
        """Pair tag filters with destinations; each renamed tag alone."""
        if target.search or target.image.digest:
            node.report_error("a destination cannot have a digest or an expression")
            return []
        if source.image.digest:
            return self._pin_tags(source, node, target)
        found = convert_names([source.search], self._node) if source.search else source.tags
        tags = TagFilter(regex=(match_whole(source.search),)) if found is None else TagFilter(names=found)
        if not target.tags or target.tags == source.tags:
            return [(tags, self._build_destination(source, target, "{tag}"))]
        if len(target.tags) != len(source.tags):
            node.report_lost("source and destination have different numbers of tags; image-syncer fails here, so the destination is skipped")
            return []
        return [
            (TagFilter(names=(old,)), self._build_destination(source, target, derive_tag_template(old, new)))
            for old, new in zip(source.tags, target.tags, strict=True)
        ]

    def _pin_tags(self, source: _Images, node: Node, target: _Images) -> list[tuple[TagFilter, Destination]]:
        if len(target.tags) != 1:
            report_digest(node)
            return []
        names = (f"{target.tags[0]}@{source.image.digest}",)
        return [(TagFilter(names=names), self._build_destination(source, target, "{tag}"))]

    def _build_destination(self, source: _Images, target: _Images, tag: str) -> Destination:
        repository = target.image.repository
        return build_destination(source.image.repository.path, repository.registry, repository.path, tag=tag)

    def _read_side(self, node: Node, written: str) -> _Images | None:
        name, slash, expression = written.partition(":/")
        text = fill_shell_variables(node, written if not slash else name, variables=self._variables)
        if text is None:
            return None
        if slash:
            return self._read_search(node, text, expression)
        first, *more_tags = text.split(",")
        image = read_image(node, first)
        if image is None:
            return None
        if any(not is_tag(tag) for tag in more_tags) or (more_tags and not image.tag):
            node.report_error("invalid list of tags", hint="write REPOSITORY:v1,v2")
            return None
        return _Images(image, (image.tag, *more_tags) if image.tag else ())

    def _read_search(self, node: Node, name: str, expression: str) -> _Images | None:
        image = read_image(node, name)
        if not expression.endswith("/"):
            node.report_error("the expression does not end with '/'", hint="write REPOSITORY:/v1.*/")
            return None
        search = expression[:-1]
        try:
            compile_expression(search)
        except ValueError as error:
            node.report_error(str(error))
            return None
        return _Images(image, search=search) if image is not None else None
