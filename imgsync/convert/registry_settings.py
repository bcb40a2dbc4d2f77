"""Who is trusted, and as whom: gathered while a file is read. No value of a credential is ever kept, only where to find one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from imgsync.convert.model import RegistryEntry
from imgsync.convert.reading import Piece

_NOT_IN_VARIABLES = re.compile(r"[^A-Z0-9]+")
_UNVERIFIED = "TLS certificates are not verified there"
_OR_PLAIN = "if the registry speaks plain http, write `tls: false`"


def variable(registry: str, what: str) -> str:
    """Return the variable that holds *what* ("USERNAME" or "PASSWORD") of *registry*: `${QUAY_IO_PASSWORD}`."""
    stem = _NOT_IN_VARIABLES.sub("_", registry.upper()).strip("_")
    return f"${{{'REGISTRY_' if stem[:1].isdigit() else ''}{stem}_{what}}}"


class RegistryCollector:
    """What a file says of registries, several mentions of one brought together."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._entries: dict[str, RegistryEntry] = {}
        self._logins: dict[str, object] = {}

    def say(self, registry: str, **settings: Any) -> None:
        """Add *settings* (fields of `RegistryEntry`) to what is known of *registry*."""
        if registry:
            self._entries[registry] = replace(self._entries.get(registry, RegistryEntry(registry)), **settings)

    def insecure(self, piece: Piece, registry: str) -> None:
        """Note that certificates of *registry* are not verified."""
        if registry and self._entries.get(registry, RegistryEntry(registry)).verify:
            piece.note(_UNVERIFIED, hint=_OR_PLAIN)
        self.say(registry, verify=False)

    def login(self, piece: Piece, registry: str, *, value: object, username: str = "", password: str = "", password_file: str = "") -> None:
        """
        Note that *registry* wants a login; what is not named gets variables of the registry's own.

        *value* is compared, to notice two logins for one registry, and forgotten.
        """
        if not registry:
            return
        if self._logins.setdefault(registry, value) != value:
            piece.lost("another login for the same registry", hint="registries.yaml holds one for each; the first one counts")
            return
        user = username or variable(registry, "USERNAME")
        word = "" if password_file else password or variable(registry, "PASSWORD")
        known = self._entries.get(registry)
        if known is None or not known.username:
            where = ", ".join(dict.fromkeys(one for one in (user, word or password_file) if one))
            piece.note("credentials are never copied", hint=f"registries.yaml reads {where}")
        self.say(registry, username=user, password=word, password_file=password_file)

    def entries(self) -> tuple[RegistryEntry, ...]:
        """Return what is known, registries of which nothing special is known left out."""
        return tuple(entry for entry in self._entries.values() if entry.says_something)
