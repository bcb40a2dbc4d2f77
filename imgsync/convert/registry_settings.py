"""
Collect registry settings while a file is read.

The result has no credentials, only the names of variables and files that contain them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from imgsync.convert.conversion import RegistryEntry
from imgsync.convert.input_file import Node

_NOT_IN_VARIABLES = re.compile(r"[^A-Z0-9]+")


def name_variable(registry: str, suffix: str) -> str:
    """Return the variable for "USERNAME" or "PASSWORD": `${QUAY_IO_PASSWORD}`."""
    stem = _NOT_IN_VARIABLES.sub("_", registry.upper()).strip("_")
    return f"${{{'REGISTRY_' if stem[:1].isdigit() else ''}{stem}_{suffix}}}"


class RegistryCollector:
    """The merged settings of each registry in a file."""

    def __init__(self) -> None:
        """Start without settings."""
        self._entries: dict[str, RegistryEntry] = {}
        self._logins: dict[str, object] = {}

    def update(self, registry: str, **settings: Any) -> None:
        """Set fields of the `RegistryEntry` of *registry*."""
        if registry:
            self._entries[registry] = replace(self._entries.get(registry, RegistryEntry(registry)), **settings)

    def disable_verification(self, node: Node, registry: str) -> None:
        """Turn TLS verification off for *registry*."""
        if registry and self._entries.get(registry, RegistryEntry(registry)).verify:
            node.report_note("the TLS certificate is not verified", hint="if the registry uses plain http, write `tls: false`")
        self.update(registry, verify=False)

    def add_login(self, node: Node, registry: str, *, value: object, username: str = "", password: str = "", password_file: str = "") -> None:
        """
        Add credentials for *registry*.

        Args:
            node: Where remarks are reported.
            registry: The registry.
            value: The login in the file; only compared, to detect a second login.
            username: A variable; "" makes one up.
            password: A variable; "" makes one up.
            password_file: The file that contains the password, "" for none.
        """
        if not registry:
            return
        if self._logins.setdefault(registry, value) != value:
            node.report_lost("second login for the same registry", hint="registries.yaml has one login per registry; the first is used")
            return
        user = username or name_variable(registry, "USERNAME")
        secret = "" if password_file else password or name_variable(registry, "PASSWORD")
        known = self._entries.get(registry)
        if known is None or not known.username:
            origins = ", ".join(dict.fromkeys(one for one in (user, secret or password_file) if one))
            node.report_note("credentials are never copied", hint=f"registries.yaml reads {origins}")
        self.update(registry, username=user, password=secret, password_file=password_file)

    def list_entries(self) -> tuple[RegistryEntry, ...]:
        """Return the registries that have settings."""
        return tuple(entry for entry in self._entries.values() if entry.has_settings)
