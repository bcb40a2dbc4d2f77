"""The border to httpx: lanes that keep no cookies and read no environment, bodies within bounds, foreign errors as ours."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imgsync.errors import InsecureError, RegistryError, UnexpectedResponseError, UnreachableError
from imgsync.oci.endpoint import Endpoint
from imgsync.oci.errors import Operation, safe_text
from imgsync.oci.foreign import httpx
from imgsync.oci.guard import Guard
from imgsync.oci.lane import Lane

if TYPE_CHECKING:
    from imgsync.oci.proxied import ProxiedLane

FOREIGN_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError, OSError)
_SHORT_BODY = 64 << 10
_KNOWN_TEXTS: tuple[tuple[tuple[str, ...], type[RegistryError], str, str], ...] = (
    (("CERTIFICATE_VERIFY_FAILED",), InsecureError, "its TLS certificate is not trusted: {text}", "declare its CA in registries.yaml (`tls: {ca: FILE}`)"),
    (
        ("WRONG_VERSION_NUMBER", "record layer failure"),
        InsecureError,
        "it does not speak TLS",
        "if it speaks plain http, say so in registries.yaml: `tls: false`",
    ),
    (("refused to follow",), InsecureError, "{text}", "nothing was sent there"),
)
_KNOWN_TYPES: tuple[tuple[type[Exception], type[RegistryError], str, str], ...] = (
    (httpx.TimeoutException, UnreachableError, "no byte within the time allowed", "raise timeouts.request if the registry is slow"),
    (httpx.ConnectError, UnreachableError, "cannot connect: {text}", "check the registry's name, port and network path"),
    (httpx.InvalidURL, UnexpectedResponseError, "the registry names an address that is no URL", ""),
)


def new_lane(endpoint: Endpoint, guard: Guard) -> Lane | ProxiedLane:
    """Return a transport for one request at a time, with two connections: the registry's, and one to where it keeps its blobs."""
    if endpoint.proxy is None:
        return Lane(endpoint.context, guard)
    from imgsync.oci.proxied import ProxiedLane

    return ProxiedLane(endpoint.context(), endpoint.proxy)


def headers_of(response: httpx.Response) -> dict[str, str]:
    """Return the headers, names in lower case, the first of several values."""
    return {name.lower(): value for name, value in reversed(response.headers.multi_items())}


def drain(response: httpx.Response) -> None:
    """Read a short body to its end, so that the connection can be used again; close it otherwise."""
    length = response.headers.get("content-length", "")
    if length.isdigit() and int(length) <= _SHORT_BODY:
        with contextlib.suppress(*FOREIGN_ERRORS):
            response.read()
    response.close()


def read_body(response: httpx.Response, limit: int, *, operation: Operation, cut: bool = False) -> bytes:
    """Return the body, decoded if the server compressed it unasked; over *limit* bytes is an error, or cut off."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    inflate = zlib.decompressobj(wbits=47) if encoding in {"gzip", "x-gzip", "deflate"} else None
    body = bytearray()
    for chunk in translated(response.iter_raw(), operation):
        try:
            body += inflate.decompress(chunk, limit + 1 - len(body)) if inflate else chunk
        except zlib.error as error:
            raise operation.failed(UnexpectedResponseError, "the body is not in the encoding it claims", status=response.status_code) from error
        if len(body) > limit:
            if cut:
                break
            raise operation.failed(UnexpectedResponseError, f"the answer is larger than {limit >> 10} KiB", status=response.status_code)
    return bytes(body[:limit])


def translated(chunks: Iterator[bytes], operation: Operation) -> Iterator[bytes]:
    """Yield *chunks*, foreign errors as ours."""
    try:
        yield from chunks
    except FOREIGN_ERRORS as error:
        raise unanswered(operation, error) from error


def unanswered(operation: Operation, error: Exception) -> RegistryError:
    """Return our error for a foreign one: nobody answered, or not in a way that can be trusted."""
    text = str(error)
    for needles, kind, message, hint in _KNOWN_TEXTS:
        if any(needle in text for needle in needles):
            return operation.failed(kind, message.format(text=safe_text(text)), hint=hint)
    for foreign, kind, message, hint in _KNOWN_TYPES:
        if isinstance(error, foreign):
            return operation.failed(kind, message.format(text=safe_text(text)), hint=hint)
    return operation.failed(UnreachableError, f"the connection broke: {safe_text(text) or type(error).__name__}")
