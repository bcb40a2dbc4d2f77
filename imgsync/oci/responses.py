"""Read HTTP responses within limits, and translate HTTP errors into ours."""

from __future__ import annotations

import contextlib
import itertools
import re
import zlib
from collections.abc import Callable, Iterator

from imgsync.errors import InsecureError, RegistryError, RejectedError, UnexpectedResponseError, UnknownHostError, UnreachableError
from imgsync.oci.errors import Operation
from imgsync.oci.http import errors as http_errors
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.errors import (
    ForbiddenAddressError,
    HandshakeError,
    HeadTooLargeError,
    ProxyRefusedError,
    ProxyUnreachableError,
    RefusedError,
    StalledError,
    UnknownProxyError,
)
from imgsync.oci.http.url import join_url
from imgsync.system.chunk import Chunk
from imgsync.text.sanitize import sanitize_message
from imgsync.text.units import parse_integer

# Everything that sending a request or reading a body can raise.
HTTP_ERRORS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, UnicodeError, OSError)
_SHORT_BODY = 64 << 10
_WARNING = re.compile(r'299 - "([^"]{1,4096})"')
_PIECE_BYTES = 256 << 10
# Where in OpenSSL and Python an error comes from.
_SSL_SOURCE = re.compile(r"\[SSL(?:: [A-Z_]+)?\] | \(_ssl\.c:[0-9]+\)")
# Several fields of these names are one list. Spec: RFC 9110 5.3.
_LISTS = {"link", "www-authenticate"}
# Extension of a response: what `read_headers` found.
_READ_HEADERS = "imgsync.headers"
_PLAIN_HINT = "if it uses plain http, set `tls: false` in registries.yaml: `registries: {{{place}: {{tls: false}}}}`"
_NAME_HINT = "check the spelling of the host, and the name server of this machine"
# (needles, error, message, hint)
_KNOWN_TEXTS: tuple[tuple[tuple[str, ...], type[RegistryError], str, str], ...] = (
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        InsecureError,
        "the registry's TLS certificate is not trusted: {text}",
        "set its CA in registries.yaml, for exactly this host: `registries: {{{place}: {{tls: {{ca: FILE}}}}}}`",
    ),
    (
        ("WRONG_VERSION_NUMBER", "record layer failure"),
        InsecureError,
        "the registry does not speak TLS",
        _PLAIN_HINT,
    ),
)
# Before the texts, which blame the registry.
_PROXY_TYPES: tuple[tuple[type[Exception], type[RegistryError], str, str], ...] = (
    (ProxyRefusedError, RejectedError, "the proxy {text}", "check `proxy` in registries.yaml, with its login: http://USER:PASSWORD@HOST:PORT"),
    (UnknownProxyError, UnknownHostError, "no way through the proxy {text}", "check `proxy` in registries.yaml"),
    (ProxyUnreachableError, UnreachableError, "no way through the proxy {text}", "check `proxy` in registries.yaml, and the network path to it"),
)
_KNOWN_TYPES: tuple[tuple[type[Exception], type[RegistryError], str, str], ...] = (
    (ForbiddenAddressError, InsecureError, "refused to connect: {text}", InsecureError.remedy),
    (HeadTooLargeError, UnexpectedResponseError, "{text}", ""),
    (StalledError, UnreachableError, "{text}", "raise timeouts.request if the network is that slow"),
    (http_errors.UnknownHostError, UnknownHostError, "cannot connect: {text}", _NAME_HINT),
    (RefusedError, UnreachableError, "cannot connect: {text}", "check that the registry runs, and its port"),
    (HandshakeError, UnreachableError, "cannot connect: no TLS connection to {text}", _PLAIN_HINT),
    (httpx.ConnectTimeout, UnreachableError, "cannot connect: {text}", "check the registry's name, port and network path"),
    (httpx.TimeoutException, UnreachableError, "no byte within the time allowed", "raise timeouts.request if the registry is slow"),
    (httpx.ConnectError, UnreachableError, "cannot connect: {text}", "check the registry's name, port and network path"),
    (httpx.InvalidURL, UnexpectedResponseError, "the registry sent an invalid URL", InsecureError.remedy),
)


def read_headers(response: httpx.Response) -> dict[str, str]:
    """Return the headers by lower-case name: lists joined, else the first."""
    # Several callers read them, and `httpx.Headers` takes longer than a small body.
    found: dict[str, str] | None = response.extensions.get(_READ_HEADERS)
    if found is None:
        found = response.extensions[_READ_HEADERS] = _read_headers(response.headers)
    return found


def _read_headers(headers: httpx.Headers) -> dict[str, str]:
    raw = headers.raw[::-1]
    try:
        # Decoded together: each of them costs as much as all.
        parts = b"\0".join(itertools.chain.from_iterable(raw)).decode("ascii").split("\0")
    except UnicodeDecodeError:
        parts = []
    if len(parts) == 2 * len(raw):
        found = dict(zip(map(str.lower, parts[::2]), parts[1::2], strict=True))
    else:
        found = {name.lower(): value for name, value in reversed(headers.multi_items())}
    for name in _LISTS & found.keys():
        found[name] = ", ".join(headers.get_list(name))
    return found


def read_warnings(headers: httpx.Headers, *, clean: Callable[[str], str]) -> list[str]:
    """
    Return the texts of `Warning` headers, safe to print.

    *clean* removes secrets from what is cut afterwards. Spec: "Warnings".
    """
    return [sanitize_message(clean(found[1])) for value in headers.get_list("warning") if (found := _WARNING.fullmatch(value)) is not None]


def drain(response: httpx.Response) -> None:
    """Read a short body so that the connection can be reused."""
    length = parse_integer(response.headers.get("content-length", ""))
    if length is not None and length <= _SHORT_BODY:
        with contextlib.suppress(*HTTP_ERRORS):
            # Not decompressed: a few bytes may expand a thousandfold.
            for piece in response.iter_raw():
                length -= len(piece)
                if length < 0:
                    break
    close_response(response)


def close_response(response: httpx.Response) -> None:
    """Free the connection of *response*."""
    # `Response.close` does the same, and takes longer than to read a small body.
    response.stream.close()  # type: ignore[union-attr]  # always a stream that is read without `async`


def read_body(response: httpx.Response, limit: int, *, operation: Operation, truncate: bool = False) -> bytes:
    """
    Return the body, decompressed if the server compressed it.

    Args:
        response: The response, unread.
        limit: The most bytes, compressed or decompressed.
        operation: The subject of errors.
        truncate: Whether to cut a longer body off instead of raising an error.
    """
    encoding = read_headers(response).get("content-encoding", "identity").lower()
    inflate = zlib.decompressobj(wbits=47) if encoding in {"gzip", "x-gzip", "deflate"} else None
    body = bytearray()
    received = 0
    for chunk in iterate_chunks(response, operation):
        received += len(chunk)
        try:
            for piece in _decompress(inflate, chunk) if inflate else (chunk,):
                body += piece
                if len(body) > limit:
                    break
        except zlib.error as error:
            raise operation.make_error(UnexpectedResponseError, "the body does not match its Content-Encoding", status=response.status_code) from error
        # A compressed body may continue for ever without decompressing to a single byte.
        if max(len(body), received) > limit:
            if truncate:
                break
            raise operation.make_error(UnexpectedResponseError, f"the response is larger than {limit >> 10} KiB", status=response.status_code)
        if inflate and inflate.eof:
            break
    del body[limit:]
    return bytes(body)


def _decompress(inflate: zlib._Decompress, chunk: Chunk) -> Iterator[Chunk]:
    """Yield *chunk* decompressed, in pieces, because it may expand a thousandfold."""
    while chunk:
        yield inflate.decompress(chunk, _PIECE_BYTES)
        chunk = inflate.unconsumed_tail


def iterate_chunks(response: httpx.Response, operation: Operation) -> Iterator[Chunk]:
    """Yield the raw body of *response*, once; raise our errors."""
    try:
        # `iter_raw` does the same, and takes longer than the small bodies that most responses have.
        yield from response.stream  # type: ignore[misc]  # as in `close_response`
    except HTTP_ERRORS as error:
        raise translate_error(operation, error) from error


def resolve_url(reference: str, *, base: str, operation: Operation) -> str:
    """
    Return the absolute URL of *reference*, which a response of *base* named.

    Raises:
        UnexpectedResponseError: The result is not a valid URL.
    """
    try:
        return join_url(base, reference)
    except httpx.InvalidURL as error:
        raise translate_error(operation, error) from error


def translate_error(operation: Operation, error: Exception) -> RegistryError:
    """Return our error for one of `HTTP_ERRORS`."""
    text = _SSL_SOURCE.sub("", str(error))
    for http_error, kind, message, hint in _PROXY_TYPES:
        if isinstance(error, http_error):
            return operation.make_error(kind, message.format(text=sanitize_message(text)), hint=hint)
    place = error.place if isinstance(error, HandshakeError) else operation.reference.partition("/")[0]
    for needles, kind, message, hint in _KNOWN_TEXTS:
        if any(needle in str(error) for needle in needles):
            return operation.make_error(kind, message.format(text=sanitize_message(text)), hint=hint.format(place=place))
    for http_error, kind, message, hint in _KNOWN_TYPES:
        if isinstance(error, http_error):
            return operation.make_error(kind, message.format(text=sanitize_message(text)), hint=hint.format(place=place))
    return operation.make_error(UnreachableError, f"the connection broke: {sanitize_message(text) or type(error).__name__}")
