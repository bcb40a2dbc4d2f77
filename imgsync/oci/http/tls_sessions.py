"""Resume TLS sessions, so that later handshakes cost less."""

from __future__ import annotations

import math
import ssl
import time
from typing import Protocol

from imgsync.oci.http.url import Origin


class Resumable(Protocol):
    """A stream with TLS, or what is left of it."""

    @property
    def tls(self) -> ssl.SSLObject | ssl.SSLSocket:
        """Return the TLS connection."""


class TlsSessions:
    """
    The newest stream to each server, whose session the next one resumes.

    A session belongs to one context and one origin: a resumed handshake checks neither name nor dates again.
    """

    def __init__(self) -> None:
        """Know no server yet."""
        self._newest: dict[tuple[ssl.SSLContext, Origin], tuple[Resumable, float]] = {}

    def find(self, context: ssl.SSLContext, origin: Origin) -> ssl.SSLSession | None:
        """Return the session to resume, None for a full handshake."""
        stream, expires = self._newest.get((context, origin), (None, 0.0))
        # Read now and not after the handshake, since servers with TLS 1.3 send their tickets later.
        session = None if stream is None or time.time() > expires else stream.tls.session
        return session if session is not None and (session.has_ticket or session.id) else None

    def keep(self, context: ssl.SSLContext, origin: Origin, stream: Resumable) -> None:
        """Remember *stream*, whose handshake has succeeded."""
        certificate = stream.tls.getpeercert() or {}
        # Without verification there are no dates, and nothing to check again.
        expires = ssl.cert_time_to_seconds(str(certificate["notAfter"])) if certificate else math.inf
        self._newest[context, origin] = stream, expires
