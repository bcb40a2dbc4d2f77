"""
Convert a dregsy file: `tasks` with `mappings` of paths.

Sources: README.md, doc/design-image-matching.md and internal/pkg/sync of dregsy.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from imgsync.config.model import Mirror
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.dregsy_mapping import MappingReader
from imgsync.convert.input_file import KeyRemark, Node
from imgsync.convert.read_references import read_registry
from imgsync.convert.registry_settings import Login, RegistryCollector
from imgsync.convert.schedules import read_seconds
from imgsync.convert.shared_remarks import COPIES_REFERRERS, LIMIT_PLATFORMS

NAME = "dregsy"
HAS_NAMED_ENTRIES = True
_NO_RELAY = KeyRemark("not needed: imgsync copies without docker or skopeo")
_ROOT_KEYS = {
    "relay": _NO_RELAY,
    "docker": _NO_RELAY,
    "dockerhost": _NO_RELAY,
    "api-version": _NO_RELAY,
    "watch": KeyRemark("not needed: each run reads the files again"),
    "lister": KeyRemark("not needed: imgsync lists all repositories without a limit"),
}
_SKOPEO_KEYS = {
    "binary": _NO_RELAY,
    "certs-dir": KeyRemark("imgsync does not read a certificate directory; set `tls: {ca: FILE}` for the registry in registries.yaml", lost=True),
}
_TASK_KEYS = {"verbose": KeyRemark("use --log-level")}
_LOCATION_KEYS = ("registry", "auth", "skip-tls-verify", "auth-refresh", "lister")
_AUTH_REFRESH = {"auth-refresh": KeyRemark("imgsync renews ECR logins automatically if it has its extra `ecr`")}
_ECR = re.compile(r"[0-9]+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")
_GOOGLE = re.compile(r"(?:[a-z]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev")


def is_format(value: Any) -> bool:
    """Return whether *value* is a dregsy file."""
    return isinstance(value, dict) and isinstance(value.get("tasks"), list)


def convert(nodes: list[Node], options: ConvertOptions, registries: RegistryCollector) -> list[Mirror]:  # noqa: ARG001 - the signature of every format
    """Convert a dregsy file; report errors and remarks in the nodes."""
    root = nodes[0]
    root.check_keys((*_ROOT_KEYS, "skopeo", "tasks"))
    root.remark_keys(_ROOT_KEYS)
    root.report_note(COPIES_REFERRERS)
    for name, keys in (("docker", ("dockerhost", "api-version")), ("lister", ("maxItems", "cacheDuration"))):
        block = root.get(name)
        if block is not None:
            block.check_keys(keys)
    skopeo = root.get("skopeo")
    if skopeo is not None:
        skopeo.check_keys(_SKOPEO_KEYS)
        skopeo.remark_keys(_SKOPEO_KEYS)
    tasks = root.require("tasks")
    return [mirror for task in (tasks.read_items() if tasks is not None else []) for mirror in _TaskReader(task, registries).read_mirrors()]


class _TaskReader:
    """Reads one entry of `tasks`."""

    def __init__(self, task: Node, registries: RegistryCollector) -> None:
        self._task = task
        self._registries = registries

    def read_mirrors(self) -> list[Mirror]:
        """Return the mirrors of each mapping."""
        self._task.check_keys((*_TASK_KEYS, "interval", "name", "source", "target", "mappings"))
        self._task.remark_keys(_TASK_KEYS)
        name, source, target = (self._task.require(key) for key in ("name", "source", "target"))
        if name is None or source is None or target is None:
            return []
        source_registry, target_registry = self._read_location(source), self._read_location(target)
        if target_registry and _ECR.fullmatch(target_registry):
            self._registries.update(target_registry, create_repositories=True)
        nodes = self._read_mappings()
        if not source_registry or not target_registry:
            return []
        task = name.read_text()
        readers = [MappingReader(node, task=task, source=source_registry, target=target_registry) for node in nodes]
        interval = self._task.get("interval")
        schedule = read_seconds(interval) if interval is not None else None
        return [replace(mirror, schedule=schedule) for reader in readers for mirror in reader.read_mirrors(task if len(nodes) == 1 else "")]

    def _read_mappings(self) -> list[Node]:
        mappings = self._task.get("mappings")
        if mappings is None:
            return []
        nodes = mappings.read_items()
        if any(node.get("platform") is None for node in nodes):
            mappings.report_note("without `platform`, dregsy copies one platform; imgsync copies all", hint=LIMIT_PLATFORMS)
        return nodes

    def _read_location(self, location: Node) -> str:
        """Return the registry, and collect its settings."""
        location.check_keys(_LOCATION_KEYS)
        name = location.require("registry")
        registry = read_registry(name, name.read_text()) if name is not None else ""
        self._read_auth(location, registry)
        verify = location.get("skip-tls-verify")
        if verify is not None and location.read_bool("skip-tls-verify"):
            self._registries.disable_verification(verify, registry)
        location.remark_keys(_AUTH_REFRESH)
        lister = location.get("lister")
        if lister is not None:
            lister.check_keys(("type", "search"))
            lister.report_note("imgsync detects how the registry lists its repositories", hint="`listing` in registries.yaml sets it")
        return registry

    def _read_auth(self, location: Node, registry: str) -> None:
        auth = location.get("auth")
        if auth is not None and auth.value == "none":
            auth.report_note("without credentials in registries.yaml, imgsync uses the logins of podman and docker")
        elif auth is not None:
            self._registries.add_login(auth, registry, Login(auth.value))
        elif _GOOGLE.fullmatch(registry):
            location.report_note("dregsy logs in with Google's tools", hint="set docker-credential-gcr in docker's config.json, and imgsync uses it")
