"""
Docker's `config.json`: the `auths` it holds.

Spec: registry-facts: "Docker config.json"; files that are absent, empty or a directory count as absent.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgsync.oci.endpoint import Credentials

_HUB_KEY = "https://index.docker.io/v1/"


class DockerConfig:
    """The credentials docker's configuration holds, by registry, and where they were looked for."""

    def __init__(self, auths: Mapping[str, Mapping[str, Any]], *, found_in: str, warning: str = "", helpers: bool = False) -> None:
        """Wrap *auths* as read from *found_in*; *warning* says what could not be read, *helpers* that programs are named there."""
        self._auths = auths
        self.found_in = found_in
        self.looked_in = f"{found_in}, whose credential helpers this version does not ask" if helpers else found_in
        self.warning = warning

    def credentials(self, registry: str) -> Credentials | None:
        """Return what the configuration holds for *registry* (exact host and port), None when it holds nothing."""
        for key, entry in self._auths.items():
            if _registry_of(key) == registry and (found := _decoded(entry)) is not None:
                return Credentials(*found, found_in=self.found_in)
        return None


def load_docker_config(environ: Mapping[str, str]) -> DockerConfig:
    """Return docker's configuration: DOCKER_AUTH_CONFIG, else DOCKER_CONFIG/config.json, else ~/.docker/config.json."""
    if environ.get("DOCKER_AUTH_CONFIG"):
        return _parsed(environ["DOCKER_AUTH_CONFIG"].encode(), found_in="DOCKER_AUTH_CONFIG")
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")
    path = folder / "config.json"
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return DockerConfig({}, found_in=str(path))
    except OSError as error:
        return DockerConfig({}, found_in=str(path), warning=f"{path} cannot be read: {error.strerror}")
    return _parsed(data, found_in=str(path))


def _parsed(data: bytes, *, found_in: str) -> DockerConfig:
    # The parser's own message would quote the text, and with it a password.
    try:
        document = json.loads(data or b"{}")
        auths = document.get("auths") or {}
        return DockerConfig({key: entry for key, entry in auths.items() if isinstance(entry, dict)}, found_in=found_in, helpers=_names_helpers(document))
    except (ValueError, AttributeError, RecursionError):
        return DockerConfig({}, found_in=found_in, warning=f"{found_in} is not a docker configuration; its credentials are not used")


def _names_helpers(document: Mapping[str, Any]) -> bool:
    return bool(document.get("credsStore") or document.get("credHelpers"))


def _registry_of(key: str) -> str:
    host = key.partition("://")[2] or key
    host = host.partition("/")[0].lower()
    return "docker.io" if host in {"index.docker.io", "docker.io", "registry-1.docker.io"} or key == _HUB_KEY else host


def _decoded(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    username, password, auth = entry.get("username"), entry.get("password"), entry.get("auth")
    if isinstance(username, str) and isinstance(password, str) and username:
        return username, password
    if not isinstance(auth, str) or not auth:
        return None
    try:
        user, colon, secret = base64.b64decode(auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, secret.rstrip("\0")) if user and colon else None
