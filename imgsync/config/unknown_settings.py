"""
Say where a setting belongs that the schema does not know.

It may be misspelled, belong in the other file or one level deeper, or come from another tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imgsync.config.document import Path
from imgsync.text.near import find_near

_OPERATOR = "it belongs in registries.yaml, which the operator owns"
_SCHEDULE = "write `schedule: {every: 1h}` or `schedule: {cron: 17 3 * * *}`, which `imgsync serve` follows"
_IN_REGISTRIES = {"registries", "allow", "keys", "identities", "bundles"}
_OF_REGISTRY = {
    "credentials",
    "tls",
    "rate",
    "connections",
    "proxy",
    "listing",
    "token_server",
    "also_known_as",
    "chunk_size",
    "max_blob_size",
    "create_repositories",
    "http2",
}
# One level down: setting -> the block that has it.
_BLOCKS = {
    **dict.fromkeys(("names", "include", "exclude", "semver", "newest", "newest_per", "extract", "max_age", "min_age", "at_least", "prereleases"), "tags"),
    **dict.fromkeys(("repositories", "namespaces"), "source"),
    **dict.fromkeys(("username", "password"), "credentials"),
    **dict.fromkeys(("ca", "cert", "key", "verify"), "tls"),
}
_TLS_OFF = "write `tls: false` for plain http, or `tls: {verify: false}` to accept any certificate"
_TLS_IN_REGISTRIES = "TLS is set in registries.yaml, which the operator owns: `registries: {HOST: {tls: false}}`"
# What other tools call a setting: the names of ours that it may mean, or a sentence.
_OTHER_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("target", "targets", "to", "dest", "destination", "sink"), ("destinations",)),
    **dict.fromkeys(("from", "image", "images", "src", "sources", "sync"), ("source", "repositories", "sources", "mirrors")),
    **dict.fromkeys(("tag", "filter", "filters"), ("tags", "include")),
    # In regsync they are expressions.
    "allow": ("regex",),
    "deny": ("exclude_regex",),
    **dict.fromkeys(("ignore", "skip"), ("exclude",)),
    **dict.fromkeys(("latest", "limit", "keep", "last"), ("newest",)),
    **dict.fromkeys(("parallel", "workers", "proc", "jobs"), ("concurrency",)),
    **dict.fromkeys(("retries", "retry_times", "backoff"), ("retry",)),
    **dict.fromkeys(("repo", "repos", "repository"), ("repositories",)),
    **dict.fromkeys(("disabled", "paused"), ("suspend",)),
    **dict.fromkeys(("user", "login"), ("username",)),
    **dict.fromkeys(("pass", "token", "secret"), ("password",)),
    **dict.fromkeys(("creds", "auth", "auths"), ("credentials",)),
    **dict.fromkeys(("hosts", "registry"), ("registries",)),
    **dict.fromkeys(("arch", "architecture", "architectures", "archs", "os", "platform"), ("platforms",)),
}
_SENTENCES = {
    **dict.fromkeys(("interval", "cron"), _SCHEDULE),
    "enabled": "write `suspend: true` to switch a mirror off",
    "type": "a tag, a repository and a registry are told apart by `tags` and `source`",
    "digests": "write TAG@sha256:… in `tags: {names: […]}`",
}
_INSECURE = {"insecure", "tls_verify", "tls-verify", "skip_tls_verify", "skip-tls-verify", "insecure_skip_verify", "plain_http", "http", "reqperinsec"}
_OTHER_TOOLS = (
    ({"sync"}, "a regsync file"),
    ({"tasks"}, "a dregsy file"),
    ({"auth", "images"}, "an image-syncer file"),
    ({"services"}, "a Docker Compose file"),
    ({"apiVersion", "kind"}, "a Kubernetes manifest"),
)
_SKOPEO, _IMAGE_SYNCER = "a file of `skopeo sync`", "an image-syncer file"
_NOT_CONVERTIBLE = {"a Docker Compose file", "a Kubernetes manifest"}


def explain_unknown(name: str, known: Iterable[str], path: Path, *, schema: str) -> str:
    """
    Return a hint for the unknown setting *name*.

    Args:
        name: The setting.
        known: The settings that are known there.
        path: Where it is, without its name.
        schema: "mirror" or "registries".
    """
    known = list(known)
    hint = _find_other_place(name, known, path, schema=schema)
    if hint or name in _SENTENCES:
        return hint or _SENTENCES[name]
    near = next((one for one in _OTHER_NAMES.get(name.lower(), ()) if one in known), "") or find_near(name, known)
    return f"did you mean '{near}'?" if near else f"known settings: {', '.join(known)}"


def recognize_other_tool(value: Any) -> str:
    """Return which tool's file *value* is, "" if it may be ours."""
    if not isinstance(value, Mapping) or not value or "mirrors" in value:
        return ""
    for keys, tool in _OTHER_TOOLS:
        if keys <= value.keys():
            return tool
    if all("." in str(name) or "/" in str(name) for name in value):
        return _SKOPEO if all(isinstance(one, Mapping) for one in value.values()) else _IMAGE_SYNCER
    return ""


def is_registry_settings(value: Any) -> bool:
    """Return whether *value* is the content of a registries.yaml."""
    return isinstance(value, Mapping) and "mirrors" not in value and not _IN_REGISTRIES.isdisjoint(value)


def explain_other_tool(tool: str, file: str) -> str:
    """Return what to do with a file of *tool*."""
    return "move it out of this folder" if tool in _NOT_CONVERTIBLE else f"`imgsync convert {file}` prints it in imgsync's format"


def _find_other_place(name: str, known: list[str], path: Path, *, schema: str) -> str:
    """Return a hint if *name* is a setting, but of another place."""
    elsewhere = _find_other_file(name, path) if schema == "mirror" else ""
    if schema == "registries" and not path and name in {"mirrors", "defaults"}:
        elsewhere = "it belongs in a file of mirrors.d"
    if schema == "registries" and name in _INSECURE and "tls" in known:
        elsewhere = _TLS_OFF
    block = _BLOCKS.get(name, "")
    return elsewhere or (f"it belongs under `{block}`: `{block}: {{{name}: …}}`" if block in known else "")


def _find_other_file(name: str, path: Path) -> str:
    """Return a hint if *name*, in mirrors.d, is a setting of registries.yaml."""
    if not path and name in _IN_REGISTRIES:
        return _OPERATOR
    if path == ("defaults",) and name in {"name", "source", "destinations"}:
        return f"each mirror has its own `{name}`"
    if name in _INSECURE or name == "tls":
        return _TLS_IN_REGISTRIES
    return f"{_OPERATOR}: `registries: {{HOST: {{{name}: …}}}}`" if name in _OF_REGISTRY else ""
