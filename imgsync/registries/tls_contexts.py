"""
Find out how to trust each server.

A client certificate, a CA and `verify: false` are for the host that registries.yaml names, and for no server that it leads to.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace

from imgsync.config.model import RegistriesConfig, Tls
from imgsync.errors import UsageError
from imgsync.oci.endpoint import is_alias, make_base_url
from imgsync.oci.http.tls import make_tls_context
from imgsync.oci.http.url import Origin, origin_of

_HTTPS_PORT = 443


class TlsContexts:
    """The TLS contexts of one run, each made once."""

    def __init__(self, settings: RegistriesConfig) -> None:
        """Begin without any."""
        self._settings = settings
        self._contexts: dict[Tls, ssl.SSLContext] = {}

    def make_finder(self, registry: str) -> Callable[[Origin], ssl.SSLContext]:
        """
        Return a function that returns the context for an origin.

        Raises:
            UsageError: A file that the settings of *registry* name cannot be used.
        """
        tls = self._settings.for_registry(registry).tls
        own, aliases = origin_of(make_base_url(registry, plain_http=not tls.enabled)), self._settings.for_registry(registry).also_known_as
        if tls.enabled:
            # Made at once, so that an unusable file is an error before the first request.
            self.get(tls, registry)
        return lambda origin: self.get(tls, registry) if origin[1:] == own[1:] or is_alias(origin, own, aliases) else self._find_other(origin)

    def get(self, tls: Tls, registry: str) -> ssl.SSLContext:
        """
        Return the context for *tls*.

        Raises:
            UsageError: A file that the settings of *registry* name cannot be used.
        """
        tls = replace(tls, enabled=True)
        if tls not in self._contexts:
            try:
                self._contexts[tls] = make_tls_context(ca=tls.ca, cert=tls.cert, key=tls.key, verify=tls.verify)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the TLS files of {registry} cannot be used: {error}", hint="check `tls` in registries.yaml") from error
        return self._contexts[tls]

    def _find_other(self, origin: Origin) -> ssl.SSLContext:
        """Return the context of a server that a registry leads to."""
        _, host, port = origin
        bracketed = f"[{host}]" if ":" in host else host
        name = bracketed if port == _HTTPS_PORT else f"{bracketed}:{port}"
        self._settings.raise_if_unset(name)
        # Never its client certificate: a registry must not decide where this machine shows that.
        return self.get(replace(self._settings.for_registry(name).tls, cert=None, key=None), name)
