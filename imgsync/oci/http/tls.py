"""Make TLS contexts for client connections."""

from __future__ import annotations

import ssl


def make_tls_context(*, ca: str | None = None, cert: str | None = None, key: str | None = None, verify: bool = True) -> ssl.SSLContext:
    """
    Return a client context.

    Args:
        ca: A file of CA certificates to trust instead of the system's and certifi's.
        cert: A file with the client certificate.
        key: A file with its key, unless *cert* holds it.
        verify: Whether to verify the server's certificate and name.

    Raises:
        OSError: A file cannot be read.
        ssl.SSLError: A file holds no usable certificate or key.
    """
    # `ssl.create_default_context` would write session keys to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        context.load_verify_locations(cafile=ca)
    else:
        import certifi

        context.load_default_certs()
        context.load_verify_locations(cafile=certifi.where())
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context


def offer_http2(context: ssl.SSLContext, *, offers: bool) -> None:
    """Offer HTTP/2 on connections that *context* makes next, or not any longer."""
    # A connection takes over the list when it is made, so it can differ from one to the next.
    context.set_alpn_protocols(["h2", "http/1.1"] if offers else [])
