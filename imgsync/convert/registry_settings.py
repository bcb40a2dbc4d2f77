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
from imgsync.system.dataclass import dataclass

_NOT_IN_VARIABLES = re.compile(r"[^A-Z0-9]+")
_PER_NAMESPACE = "imgsync has one login per registry in registries.yaml"
_AUTH_FILE = "podman's auth.json can hold one login for each namespace, and imgsync reads it"


def name_variable(registry: str, suffix: str) -> str:
    """Return the variable for "USERNAME" or "PASSWORD": `${QUAY_IO_PASSWORD}`."""
    stem = _NOT_IN_VARIABLES.sub("_", registry.upper()).strip("_")
    return f"${{{'REGISTRY_' if stem[:1].isdigit() else ''}{stem}_{suffix}}}"


@dataclass(frozen=True, slots=True)
class Login:
    """
    A login in a file.

    `value` is only compared. Without `username` or `password`, variables are made up. `namespace` limits the login within the registry.
    """

    value: object
    username: str = ""
    password: str = ""
    password_file: str = ""
    namespace: str = ""


class RegistryCollector:
    """The merged settings of each registry in the files."""

    def __init__(self) -> None:
        """Start without settings."""
        self._entries: dict[str, RegistryEntry] = {}
        self._logins: dict[str, list[tuple[Node, Login]]] = {}

    def update(self, registry: str, **settings: Any) -> None:
        """Set fields of the `RegistryEntry` of *registry*."""
        if registry:
            self._entries[registry] = replace(self._entries.get(registry, RegistryEntry(registry)), **settings)

    def disable_verification(self, node: Node, registry: str) -> None:
        """Turn TLS verification off for *registry*."""
        if registry and self._entries.get(registry, RegistryEntry(registry)).verify:
            node.report_note("the TLS certificate is not verified", hint="if the registry uses plain http, write `tls: false`")
        self.update(registry, verify=False)

    def add_login(self, node: Node, registry: str, login: Login) -> None:
        """Add credentials for *registry*; *node* is where remarks are reported."""
        if registry:
            self.update(registry)
            self._logins.setdefault(registry, []).append((node, login))

    def list_entries(self) -> tuple[RegistryEntry, ...]:
        """Return the registries that have settings, with their logins."""
        for registry, logins in self._logins.items():
            self._choose_login(registry, logins)
        return tuple(entry for entry in self._entries.values() if entry.has_settings)

    def _choose_login(self, registry: str, logins: list[tuple[Node, Login]]) -> None:
        """Use the registry's own login, or the only one below it."""
        whole = next((login for _, login in logins if not login.namespace), None)
        different = len({repr(login.value) for _, login in logins}) > 1
        chosen = whole or (None if different else logins[0][1])
        for node, login in logins:
            if chosen is None or login.value != chosen.value:
                used = "none of them is used" if chosen is None else "the one for the whole registry is used" if login.namespace else "the first is used"
                what = f"login for {registry}/{login.namespace}" if login.namespace else "second login for the same registry"
                node.report_lost(f"{what}: {_PER_NAMESPACE}, and {used}", hint=_AUTH_FILE)
        if chosen is None:
            return
        user = chosen.username or name_variable(registry, "USERNAME")
        secret = "" if chosen.password_file else chosen.password or name_variable(registry, "PASSWORD")
        node = next(node for node, login in logins if login is chosen)
        origins = ", ".join(dict.fromkeys(one for one in (user, secret or chosen.password_file) if one))
        node.report_note("credentials are never copied", hint=f"registries.yaml reads {origins}")
        if chosen.namespace:
            node.report_note(f"imgsync logs in to all of {registry} with this login, not only to {chosen.namespace}")
        self.update(registry, username=user, password=secret, password_file=chosen.password_file)
