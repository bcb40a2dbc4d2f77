"""
Read credential files of other tools: containers' `auth.json` and docker's `config.json`.

Spec: containers-auth.json(5); docker/cli `config.json`. Nothing is written. Files that are missing, empty or a directory are ignored; a file that cannot
be read gives a warning, which never quotes it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from imgsync.oci.endpoint import Credentials
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message

_HUB = "docker.io"
_HTTPS_PORT = ":443"
_HUB_HOSTS = {"index.docker.io", "docker.io", "registry-1.docker.io"}
_SIZE_LIMIT = 4 << 20
_OTHERS = 0o007
_SHOWN = 3
_NAME_LENGTH = 80
_LOGIN_FIELDS = {"auth", "password", "identitytoken", "registrytoken"}


@dataclass(frozen=True, slots=True)
class AuthFile:
    """
    The credentials in one file, and the credential helpers it names.

    Args:
        path: The file's path, or the variable that holds its text.
        auths: Entries by registry or path.
        default_helper: The helper for every registry (`credsStore`), "" for none.
        helpers: Helpers by registry (`credHelpers`).
        warning: Why the file or an entry could not be read, "" if all could.
        is_exposed: Whether it holds credentials that every user of this machine may read or change.
    """

    path: str
    auths: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    default_helper: str = ""
    helpers: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""
    is_exposed: bool = False

    def find_login(self, registry: str, path: str) -> Credentials | None:
        """Return a repository's credentials from the longest matching key."""
        name = f"{registry}/{path}"
        best, found = -1, None
        for key, entry in self.auths.items():
            prefix = _normalize(key)
            if len(prefix) > best and (name == prefix or name.startswith(f"{prefix}/")) and (login := _decode(entry, self.path)) is not None:
                best, found = len(prefix), login
        return found

    def find_server(self, registry: str) -> str:
        """Return *registry* as the file writes it, for its helpers."""
        written = f"{registry}{_HTTPS_PORT}"
        return written if written in self.auths or written in self.helpers else registry

    def find_helper(self, registry: str) -> str:
        """Return the helper for *registry* alone, "" if the file names none."""
        return next((program for key, program in self.helpers.items() if _normalize(key) == registry), "")


def load_auth_files(environ: Mapping[str, str]) -> tuple[AuthFile, ...]:
    """
    Return the files by precedence: containers' first, then docker's.

    REGISTRY_AUTH_FILE replaces containers' default paths. DOCKER_AUTH_CONFIG holds text that precedes docker's file, and DOCKER_CONFIG moves that file.
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
        yield _parse(environ["DOCKER_AUTH_CONFIG"].encode("utf-8", "surrogateescape"), "DOCKER_AUTH_CONFIG")
    yield _read(Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json")


def _read(path: Path) -> AuthFile:
    try:
        with path.open("rb") as file:
            found = _parse(file.read(_SIZE_LIMIT), str(path))
            mode = os.fstat(file.fileno()).st_mode
            return replace(found, is_exposed=bool(mode & _OTHERS and any(_LOGIN_FIELDS & entry.keys() for entry in found.auths.values())))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return AuthFile(str(path))
    except OSError as error:
        return AuthFile(str(path), warning=f"cannot read {path}: {error.strerror}; its credentials are not used")


def _parse(data: bytes, path: str) -> AuthFile:
    # The parser's message is not used, because it would quote a password.
    try:
        document = json.loads(data.strip() or b"{}")
        auths = _check_mapping(document.get("auths"))
        helpers = _check_mapping(document.get("credHelpers"))
        store = document.get("credsStore") or ""
    except json.JSONDecodeError as error:
        return AuthFile(path, warning=f"{path}:{error.lineno}:{error.colno}: not valid JSON; its credentials are not used")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return AuthFile(path, warning=f"{path} is not a registry credentials file; it is not used")
    entries = {key: entry for key, entry in auths.items() if isinstance(entry, dict)}
    return AuthFile(
        path,
        entries,
        store if isinstance(store, str) else "",
        {key: program for key, program in helpers.items() if isinstance(program, str) and program},
        _warn_of_unreadable(entries, path),
    )


def _check_mapping(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return value


def _normalize(key: str) -> str:
    """Return *key* as HOST[:PORT][/PATH], without scheme and API version."""
    host, _, path = (key.partition("://")[2] or key).partition("/")
    # Only ASCII: the lower case of some other letters is ASCII (the Kelvin sign's is k).
    host = host.lower() if host.isascii() else host
    host = host.removesuffix(_HTTPS_PORT)
    path = "" if path.rstrip("/") in {"v1", "v2"} else path.rstrip("/")
    host = _HUB if host in _HUB_HOSTS else host
    return f"{host}/{path}" if path else host


def _decode(entry: Mapping[str, Any], path: str) -> Credentials | None:
    username, password, auth, token = (entry.get(name) for name in ("username", "password", "auth", "identitytoken"))
    if isinstance(auth, str) and auth:
        username, password = _decode_pair(auth)
    ready = entry.get("registrytoken")
    if isinstance(ready, str) and ready.isascii() and ready.isprintable() and ready:
        return Credentials("", ready, path, bearer_token=True)
    if isinstance(token, str) and token:
        return Credentials(username if isinstance(username, str) else "", token, path, identity_token=True)
    if isinstance(username, str) and isinstance(password, str) and username:
        return Credentials(username, password, path)
    return None


def _decode_pair(auth: str) -> tuple[str | None, str | None]:
    """Return user name and password, None for what *auth* does not hold."""
    # Go ignores line ends in base64, and `base64` without -w0 makes them: podman-container-tools/skopeo#1198.
    text = "".join(auth.split()).rstrip("=")
    try:
        username, colon, password = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode().partition(":")
    except ValueError:
        # Not base64, or not of text.
        return None, None
    return username, password.rstrip("\0") if colon else None


def _warn_of_unreadable(auths: Mapping[str, Mapping[str, Any]], path: str) -> str:
    """Return a warning about every `auth` that holds no login."""
    names = [key for key, entry in auths.items() if isinstance(auth := entry.get("auth"), str) and auth and None in _decode_pair(auth)]
    shown = ", ".join(sanitize_message(name, limit=_NAME_LENGTH) for name in names[:_SHOWN])
    return f"{path}: `auth` of {shown} is not `user:password` in base64; it is not used" if names else ""
