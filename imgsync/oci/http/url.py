"""Split and join absolute URLs."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urljoin, urlsplit

from imgsync.oci.http._httpx import httpx

# Scheme, host, port.
Origin = tuple[str, str, int]

# Characters that a target may hold as they are; all others are percent-encoded.
_UNQUOTED = "%/:?[]@!$&'()*+,;=-._~"
# Only characters that every URL parser reads the same way.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


def parse_url(url: str) -> tuple[Origin, str, str]:
    """
    Return origin, Host header and request target of an absolute URL.

    Printable ASCII in path and query stays as it is, so that signed URLs stay valid; all else is percent-encoded.

    Raises:
        httpx.InvalidURL: It is not an absolute HTTP URL.
    """
    scheme, _, rest = url.partition("#")[0].partition("://")
    authority, _, path = rest.partition("/")
    if "?" in authority:
        authority, _, path = rest.partition("?")
        path = f"?{path}"
    target = f"/{path}"
    if not is_sendable(target):
        target = quote(target, safe=_UNQUOTED)
    host = authority.rpartition("@")[2]
    if _HOST.fullmatch(host) is None or scheme not in {"http", "https"}:
        raise httpx.InvalidURL(f"{host[:100]!r} is not a valid host")
    try:
        return origin_of(url), host, target
    except ValueError as error:
        raise httpx.InvalidURL(str(error)) from error


def is_sendable(target: str) -> bool:
    """Return whether *target* can be sent as it is."""
    return target.isascii() and target.isprintable() and " " not in target


def join_url(base: str, location: str) -> str:
    """
    Resolve *location*, absolute or relative, against the URL *base*.

    Raises:
        httpx.InvalidURL: The result is not an absolute HTTP URL.
    """
    try:
        scheme, separator, rest = urljoin(base, location).partition("://")
    except ValueError as error:
        raise httpx.InvalidURL(str(error)) from error
    url = f"{scheme.lower()}{separator}{rest}"
    parse_url(url)
    return url


def has_credentials(url: str) -> bool:
    """Return whether a valid URL holds a user name or a password."""
    return "@" in urlsplit(url).netloc


def find_url_secrets(url: str) -> tuple[str, ...]:
    """Return the password of a URL in all its spellings."""
    written = urlsplit(url).netloc.rpartition("@")[0]
    _, _, password = written.partition(":")
    return (password, unquote(password), unquote(written)) if password else ()


def origin_of(url: str) -> Origin:
    """Return scheme, host and port of an absolute URL."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
