"""Read `serve` of registries.yaml: who may do what at `imgsync serve`."""

from __future__ import annotations

import pathlib as files
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from imgsync.config.document import Path
from imgsync.config.fields import FieldReader
from imgsync.config.git_settings import GitSettings
from imgsync.config.model import RegistriesConfig
from imgsync.config.read_secrets import read_long_secret, read_secret
from imgsync.config.secrets import Secret
from imgsync.config.serve_settings import EventSettings, ServeSettings
from imgsync.oci.spec.reference import parse_registry

_GIT = "git"
_PUBSUB = "pubsub"
_PATH_TYPES = {"quay", "dockerhub", "aliyun", _PUBSUB}
_IN_PATHS = re.compile(r"[A-Za-z0-9._~-]+")
_MAKE_SECRET = "make one: openssl rand -hex 32"  # noqa: S105 - how to make one
# ssh would read them as something else.
_ODD_IN_PATHS = frozenset("\"'%\\")


def read_serve(fields: FieldReader, entry: Mapping[str, Any], registries: RegistriesConfig) -> ServeSettings:
    """
    Return the settings in *entry*; report its errors.

    *registries* has the names of the registries.
    """
    events = entry.get("events") or {}
    return ServeSettings(
        token=read_long_secret(fields, ("serve", "token"), entry.get("token")),
        is_private=_read_private(fields, entry),
        hosts=tuple(host.lower() for host in entry.get("hosts") or ()),
        git=_read_git(fields, entry.get("git") or {}),
        events={name: _read_event(fields, ("serve", "events", name), one, registries) for name, one in events.items()},
    )


def _read_private(fields: FieldReader, entry: Mapping[str, Any]) -> bool:
    is_private: bool = entry.get("private", False)
    if is_private and "token" not in entry:
        fields.add_error(("serve", "private"), "`private` needs `token`", _MAKE_SECRET)
    return is_private


def _read_git(fields: FieldReader, entry: Mapping[str, Any]) -> GitSettings:
    path: Path = ("serve", "git")
    login, ssh = entry.get("credentials") or {}, entry.get("ssh") or {}
    password = read_secret(fields, (*path, "credentials", "password"), login["password"]) if login else None
    is_file = isinstance(login.get("password"), dict)
    return GitSettings(
        username=fields.read_text((*path, "credentials", "username"), login.get("username")) or "",
        password=None if password is None else Secret(password),
        password_file=(fields.read_text((*path, "credentials", "password", "file"), login["password"]["file"]) or "") if is_file else "",
        ca=_read_path(fields, (*path, "ca"), entry.get("ca")),
        key=_read_path(fields, (*path, "ssh", "key"), ssh.get("key")),
        known_hosts=_read_path(fields, (*path, "ssh", "known_hosts"), ssh.get("known_hosts")),
    )


def _read_path(fields: FieldReader, path: Path, text: str | None) -> str:
    """Return the path of a file, "" if none is named."""
    file = fields.read_text(path, text) or ""
    if not file:
        return ""
    if not file.isprintable() or set(file) & _ODD_IN_PATHS:
        fields.add_error(path, "the path has a quote, a percent sign or a character that cannot be printed", "use another path")
        return ""
    try:
        is_there = files.Path(file).is_file()
    except (OSError, ValueError):
        is_there = False
    if not is_there:
        fields.add_error(path, "no such file")
    return file


def _read_event(fields: FieldReader, path: Path, entry: Mapping[str, Any], registries: RegistriesConfig) -> EventSettings:
    kind = entry["type"]
    _check_proof(fields, path, entry)
    registry = ""
    if kind == _GIT and "registry" in entry:
        fields.add_error((*path, "registry"), "a push to git is about no registry", "remove it")
    elif kind != _GIT and "registry" not in entry:
        fields.add_error(path, "`registry` is missing", "name the registry that the events are about, as in mirrors.d")
    elif kind != _GIT:
        registry = registries.find_name(fields.parse_reference((*path, "registry"), partial(parse_registry, entry["registry"])) or "")
    return EventSettings(
        kind=kind,
        registry=registry,
        secret=_read_event_secret(fields, (*path, "secret"), entry),
        audience=entry.get("audience", ""),
        account=entry.get("account", ""),
        keys=fields.read_text((*path, "keys"), entry.get("keys")) or "",
    )


def _read_event_secret(fields: FieldReader, path: Path, entry: Mapping[str, Any]) -> Secret | None:
    secret = read_long_secret(fields, path, entry.get("secret"))
    text = secret.reveal() if secret is not None else ""
    if text and entry["type"] in _PATH_TYPES and _IN_PATHS.fullmatch(text) is None:
        fields.add_error(path, "the secret becomes a part of a URL, where only letters, digits, '-', '.', '_' and '~' can be", _MAKE_SECRET)
    elif not text.isascii() or not text.isprintable() or text.strip() != text:
        fields.add_error(path, "the secret has characters that a header cannot have", _MAKE_SECRET)
    return secret


def _check_proof(fields: FieldReader, path: Path, entry: Mapping[str, Any]) -> None:
    """Report how a sender fails to prove itself."""
    if entry["type"] != _PUBSUB:
        for name in ("audience", "account", "keys"):
            if name in entry:
                fields.add_error((*path, name), f"only `type: pubsub` has `{name}`", "remove it")
        if "secret" not in entry:
            fields.add_error(path, "`secret` is missing", _MAKE_SECRET)
    elif ("secret" in entry) == ("audience" in entry):
        fields.add_error(path, "`type: pubsub` needs `secret` or `audience`, not both", "with `audience`, Google's token is checked; with `secret`, the path")
    elif "audience" in entry and "account" not in entry:
        fields.add_error(path, "`audience` needs `account`", "name the service account of the push subscription: anyone can get a token of Google")
