"""The border to httpx: lanes that keep no cookies and read no environment, bodies within bounds, foreign errors as ours."""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import Iterator

from imgsync.errors import InsecureError, RegistryError, UnexpectedResponseError, UnreachableError
from imgsync.oci.errors import Operation
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import ForbiddenAddressError, HeadTooLargeError, StalledError
from imgsync.oci.http.url import join_url
from imgsync.text.sanitize import sanitize_message
from imgsync.text.units import parse_integer

FOREIGN_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError, OSError)
_SHORT_BODY = 64 << 10
_WARNING = re.compile(r'299 - "([^"]{1,4096})"')
_PIECE_BYTES = 256 << 10
_KNOWN_TEXTS: tuple[tuple[tuple[str, ...], type[RegistryError], str, str], ...] = (
    (("CERTIFICATE_VERIFY_FAILED",), InsecureError, "its TLS certificate is not trusted: {text}", "declare its CA in registries.yaml (`tls: {ca: FILE}`)"),
    (
        ("WRONG_VERSION_NUMBER", "record layer failure"),
        InsecureError,
        "it does not speak TLS",
        "if it speaks plain http, say so in registries.yaml: `tls: false`",
    ),
)
_KNOWN_TYPES: tuple[tuple[type[Exception], type[RegistryError], str, str], ...] = (
    (ForbiddenAddressError, InsecureError, "refused to connect: {text}", "nothing was sent there"),
    (HeadTooLargeError, UnexpectedResponseError, "{text}", ""),
    (StalledError, UnreachableError, "{text}", "raise timeouts.request if the network is that slow"),
    (httpx.TimeoutException, UnreachableError, "no byte within the time allowed", "raise timeouts.request if the registry is slow"),
    (httpx.ConnectError, UnreachableError, "cannot connect: {text}", "check the registry's name, port and network path"),
    (httpx.InvalidURL, UnexpectedResponseError, "the registry names an address that is no URL", "nothing was sent there"),
)


def headers_of(response: httpx.Response) -> dict[str, str]:
    """Return the headers, names in lower case, the first of several values."""
    return {name.lower(): value for name, value in reversed(response.headers.multi_items())}


def warnings_of(headers: httpx.Headers) -> list[str]:
    """Return what a registry wants people to be told, made safe to print. Spec: "Warnings"."""
    if "warning" not in headers:
        return []
    return [sanitize_message(found[1]) for said in headers.get_list("warning") if (found := _WARNING.fullmatch(said)) is not None]


def drain(response: httpx.Response) -> None:
    """Read a short body to its end, so that the connection can be used again; close it otherwise."""
    length = parse_integer(response.headers.get("content-length", ""))
    if length is not None and length <= _SHORT_BODY:
        with contextlib.suppress(*FOREIGN_ERRORS):
            # As it is: unpacked, a few bytes may be a thousand times as many.
            for piece in response.iter_raw():
                length -= len(piece)
                if length < 0:
                    break
    response.close()


def read_body(response: httpx.Response, limit: int, *, operation: Operation, cut: bool = False) -> bytes:
    """Return the body, decoded if the server compressed it unasked; over *limit* bytes, packed or unpacked, is an error, or cut off."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    inflate = zlib.decompressobj(wbits=47) if encoding in {"gzip", "x-gzip", "deflate"} else None
    body = bytearray()
    came = 0
    for chunk in translated(response.iter_raw(), operation):
        came += len(chunk)
        try:
            for piece in _unpacked(inflate, chunk) if inflate else (chunk,):
                body += piece
                if len(body) > limit:
                    break
        except zlib.error as error:
            raise operation.failed(UnexpectedResponseError, "the body is not in the encoding it claims", status=response.status_code) from error
        # What is packed may go on for ever without unpacking to a single byte.
        if max(len(body), came) > limit:
            if cut:
                break
            raise operation.failed(UnexpectedResponseError, f"the answer is larger than {limit >> 10} KiB", status=response.status_code)
        if inflate and inflate.eof:
            break
    del body[limit:]
    return bytes(body)


def _unpacked(inflate: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """Yield what *chunk* unpacks to in pieces: all at once it may be a thousand times as much."""
    while chunk:
        yield inflate.decompress(chunk, _PIECE_BYTES)
        chunk = inflate.unconsumed_tail


def translated(chunks: Iterator[bytes], operation: Operation) -> Iterator[bytes]:
    """Yield *chunks*, foreign errors as ours."""
    try:
        yield from chunks
    except FOREIGN_ERRORS as error:
        raise unanswered(operation, error) from error


def led_to(said: str, *, base: str, operation: Operation) -> str:
    """
    Return the absolute URL that *said*, a registry's words in its answer of the URL *base*, leads to.

    Raises:
        UnexpectedResponseError: It is none that can be asked for.
    """
    try:
        return join_url(base, said)
    except httpx.InvalidURL as error:
        raise unanswered(operation, error) from error


def unanswered(operation: Operation, error: Exception) -> RegistryError:
    """Return our error for a foreign one: nobody answered, or not in a way that can be trusted."""
    text = str(error)
    for needles, kind, message, hint in _KNOWN_TEXTS:
        if any(needle in text for needle in needles):
            return operation.failed(kind, message.format(text=sanitize_message(text)), hint=hint)
    for foreign, kind, message, hint in _KNOWN_TYPES:
        if isinstance(error, foreign):
            return operation.failed(kind, message.format(text=sanitize_message(text)), hint=hint)
    return operation.failed(UnreachableError, f"the connection broke: {sanitize_message(text) or type(error).__name__}")
