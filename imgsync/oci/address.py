"""An absolute URL taken apart into what is dialled, what the Host header says, and what is asked for."""

from __future__ import annotations

import re
from urllib.parse import quote, urljoin, urlsplit

from imgsync.errors import UnexpectedResponseError
from imgsync.oci.errors import Operation
from imgsync.oci.foreign import httpx

# Scheme, host, port.
Origin = tuple[str, str, int]

# What a target may hold as it is; anything else is percent-encoded.
_RESERVED = "%/:?[]@!$&'()*+,;=-._~"
# Host and port as every reader takes them; what some would escape and others dial is no host.
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


def parted(url: str) -> tuple[Origin, str, str]:
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


def led_to(said: str, *, base: str, operation: Operation) -> str:
    """
    Return the absolute URL that *said*, in an answer of the URL *base*, leads to.

    Raises:
        UnexpectedResponseError: It is no URL.
    """
    try:
        url = urljoin(base, said)
        origin_of(url)
    except ValueError as error:
        raise operation.failed(UnexpectedResponseError, "the registry names an address that is no URL") from error
    return url


def origin_of(url: str) -> Origin:
    """Return scheme, host and port of an absolute URL, the port its scheme's own where it names none."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
