"""Make each TLS context once: it takes tens of milliseconds."""

from __future__ import annotations

import ssl

from imgsync.config.model import Tls
from imgsync.errors import UsageError
from imgsync.oci.http.tls import make_tls_context


class TlsContexts:
    """The TLS contexts of one run, by their settings."""

    def __init__(self) -> None:
        """Begin without any."""
        self._contexts: dict[Tls, ssl.SSLContext] = {}

    def get(self, tls: Tls, registry: str) -> ssl.SSLContext:
        """
        Return the context for *tls*.

        Raises:
            UsageError: A file that the settings of *registry* name cannot be used.
        """
        if tls not in self._contexts:
            try:
                self._contexts[tls] = make_tls_context(ca=tls.ca, cert=tls.cert, key=tls.key, verify=tls.verify)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"the TLS files of {registry} cannot be used: {error}", hint="check `tls` in registries.yaml") from error
        return self._contexts[tls]
