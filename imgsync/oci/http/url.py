"""An absolute URL taken apart into what is dialled, what the Host header says, and what is asked for."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urljoin, urlsplit

from imgsync.oci.http._httpx import httpx

# Scheme, host, port.
Origin = tuple[str, str, int]

# What a target may hold as it is; anything else is percent-encoded.
_RESERVED = "%/:?[]@!$&'()*+,;=-._~"
# What a host may be spelt with, so that whoever reads it next reads the same one.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


def parse_url(url: str) -> tuple[Origin, str, str]:
    """
    Return origin, Host header and target of an absolute URL, what is not ASCII in its path percent-encoded.

    Raises:
        httpx.InvalidURL: It is none that can be asked for.
    """
    scheme, _, rest = url.partition("#")[0].partition("://")
    authority, _, path = rest.partition("/")
    if "?" in authority:
        authority, _, path = rest.partition("?")
        path = f"?{path}"
    target = f"/{path}"
    if not (target.isascii() and target.isprintable() and " " not in target):
        target = quote(target, safe=_RESERVED)
    host = authority.rpartition("@")[2]
    if _HOST.fullmatch(host) is None or scheme not in {"http", "https"}:
        raise httpx.InvalidURL(f"{host[:100]!r} is no host")
    try:
        return origin_of(url), host, target
    except ValueError as error:
        raise httpx.InvalidURL(str(error)) from error


def join_url(base: str, said: str) -> str:
    """
    Return the absolute URL that *said*, somebody else's words, means where the URL *base* was asked for.

    Raises:
        httpx.InvalidURL: It is none that can be asked for.
    """
    try:
        scheme, separator, rest = urljoin(base, said).partition("://")
    except ValueError as error:
        raise httpx.InvalidURL(str(error)) from error
    url = f"{scheme.lower()}{separator}{rest}"
    parse_url(url)
    return url


def has_credentials(url: str) -> bool:
    """Return whether a URL that `parse_url` takes holds a user or a password."""
    return "@" in urlsplit(url).netloc


def find_url_secrets(url: str) -> tuple[str, ...]:
    """Return what of the login in a URL must not show, in every form that it may be sent or written in; nothing where there is none."""
    written = urlsplit(url).netloc.rpartition("@")[0]
    _, _, password = written.partition(":")
    return (password, unquote(password), unquote(written)) if password else ()


def origin_of(url: str) -> Origin:
    """Return scheme, host and port of an absolute URL, the port its scheme's own where it names none."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
