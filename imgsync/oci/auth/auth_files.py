"""
Where other tools keep logins: containers' `auth.json` and docker's `config.json`. Read, never written.

Spec: registry-facts "Credentials": containers-auth.json(5); docker/cli `config.json`. Files that are absent, empty or a
directory count as absent; what cannot be read is told, never quoted.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imgsync.oci.endpoint import Credentials

_HUB = "docker.io"
_HUB_HOSTS = {"index.docker.io", "docker.io", "registry-1.docker.io"}
_SIZE_LIMIT = 4 << 20
_EVERYBODY = 0o007
_LOGIN_FIELDS = {"auth", "password", "identitytoken", "registrytoken"}


@dataclass(frozen=True, slots=True)
class AuthFile:
    """
    What one file holds: logins by registry or path, and which helper programs know more.

    `store` is the helper for every registry, `helpers` those for single ones; `warning` says what could not be read. It is `exposed` when it holds
    logins and everybody on this machine may read or change it.
    """

    path: str
    auths: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    store: str = ""
    helpers: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""
    exposed: bool = False

    def login(self, registry: str, path: str) -> Credentials | None:
        """Return the login for the repository *path* of *registry*: the longest key that is the registry or a path above it."""
        wanted = f"{registry}/{path}"
        best, found = -1, None
        for key, entry in self.auths.items():
            name = _normal(key)
            if len(name) > best and (wanted == name or wanted.startswith(f"{name}/")) and (login := _decoded(entry, self.path)) is not None:
                best, found = len(name), login
        return found

    def helper(self, registry: str) -> str:
        """Return the helper named for *registry* alone, "" when none is."""
        return next((program for key, program in self.helpers.items() if _normal(key) == registry), "")


def load_auth_files(environ: Mapping[str, str]) -> tuple[AuthFile, ...]:
    """
    Return what the files hold, in the order they count: containers' first, then docker's.

    REGISTRY_AUTH_FILE stands for containers' own places, DOCKER_AUTH_CONFIG (the text itself) comes before docker's file,
    which DOCKER_CONFIG may place elsewhere.
    """
    return tuple(_load(environ))


def _load(environ: Mapping[str, str]) -> Iterator[AuthFile]:
    home = Path(environ.get("HOME") or "/")
    if environ.get("REGISTRY_AUTH_FILE"):
        yield _read(Path(environ["REGISTRY_AUTH_FILE"]))
    else:
        if environ.get("XDG_RUNTIME_DIR"):
            yield _read(Path(environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json")
        yield _read(Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json")
    if environ.get("DOCKER_AUTH_CONFIG"):
        yield _parsed(environ["DOCKER_AUTH_CONFIG"].encode("utf-8", "surrogateescape"), "DOCKER_AUTH_CONFIG")
    yield _read(Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json")


def _read(path: Path) -> AuthFile:
    try:
        with path.open("rb") as file:
            found = _parsed(file.read(_SIZE_LIMIT), str(path))
            mode = os.fstat(file.fileno()).st_mode
            return replace(found, exposed=bool(mode & _EVERYBODY and any(_LOGIN_FIELDS & entry.keys() for entry in found.auths.values())))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return AuthFile(str(path))
    except OSError as error:
        return AuthFile(str(path), warning=f"{path} cannot be read: {error.strerror}; its credentials are not used")


def _parsed(data: bytes, path: str) -> AuthFile:
    # The parser's own message would quote the text, and with it a password.
    try:
        document = json.loads(data.strip() or b"{}")
        auths = _mapping(document.get("auths"))
        helpers = _mapping(document.get("credHelpers"))
        store = document.get("credsStore") or ""
    except json.JSONDecodeError as error:
        return AuthFile(path, warning=f"{path}:{error.lineno}:{error.colno}: this is not JSON; its credentials are not used")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return AuthFile(path, warning=f"{path} is no file of registry credentials; it is not used")
    return AuthFile(
        path,
        {key: entry for key, entry in auths.items() if isinstance(entry, dict)},
        store if isinstance(store, str) else "",
        {key: program for key, program in helpers.items() if isinstance(program, str) and program},
    )


def _mapping(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _normal(key: str) -> str:
    """Return *key* as HOST[:PORT][/PATH]: no scheme, none of docker's API versions, Docker Hub by its own name."""
    host, _, path = (key.partition("://")[2] or key).partition("/")
    # Of ASCII alone: other letters have lower cases that are ASCII's (the Kelvin sign's is k).
    host = host.lower() if host.isascii() else host
    path = "" if path.rstrip("/") in {"v1", "v2"} else path.rstrip("/")
    host = _HUB if host in _HUB_HOSTS else host
    return f"{host}/{path}" if path else host


def _decoded(entry: Mapping[str, Any], path: str) -> Credentials | None:
    username, password, auth, token = (entry.get(name) for name in ("username", "password", "auth", "identitytoken"))
    if isinstance(auth, str) and auth:
        try:
            username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except ValueError:
            # No base64 (of ASCII), or not of text.
            return None
        password = password.rstrip("\0") if colon else None
    ready = entry.get("registrytoken")
    if isinstance(ready, str) and ready.isascii() and ready.isprintable() and ready:
        return Credentials("", ready, path, bearer_token=True)
    if isinstance(token, str) and token:
        return Credentials(username if isinstance(username, str) else "", token, path, identity_token=True)
    if isinstance(username, str) and isinstance(password, str) and username:
        return Credentials(username, password, path)
    return None
