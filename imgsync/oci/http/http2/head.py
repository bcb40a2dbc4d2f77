"""Headers of a request and of a response, as HTTP/2 has them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.http2.errors import MalformedResponseError
from imgsync.oci.http.http2.static_table import Header
from imgsync.oci.http.request import Request, sends_length
from imgsync.system.dataclass import dataclass

_STATUS = re.compile(rb"[1-9][0-9]{2}")
_LENGTH = re.compile(rb"[0-9]{1,18}")
# Spec: RFC 9110, section 5.1, in lower case.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_FORBIDDEN = re.compile(rb"[\0\r\n]")
# They describe an HTTP/1.1 connection. Spec: RFC 9113, section 8.2.2.
_OF_CONNECTION = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The head of a response; `content_length` is None if it states none."""

    status: int
    headers: list[Header]
    content_length: int | None

    @property
    def is_interim(self) -> bool:
        """Return whether another head follows."""
        return self.status < 200


def make_headers(request: Request) -> list[Header]:
    """
    Return the headers of *request*, in order.

    Raises:
        httpx.LocalProtocolError: A value holds a line break, which would forge a header behind the server.
    """
    headers: list[Header] = [
        (b":method", request.method.encode("latin-1")),
        (b":scheme", request.origin[0].encode("latin-1")),
        (b":authority", request.host.encode("latin-1")),
        (b":path", request.target.encode("latin-1")),
    ]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    if sends_length(request):
        headers.append((b"content-length", b"%d" % request.content_length))
    if _FORBIDDEN.search(b"".join(itertools.chain.from_iterable(headers))):
        raise httpx.LocalProtocolError("a header holds a line break")
    return headers


def read_head(headers: Sequence[Header]) -> ResponseHead:
    """
    Return the head of a response.

    Raises:
        MalformedResponseError: A header is not allowed, or the status is missing.

    Spec: RFC 9113, sections 8.2 and 8.3.2.
    """
    status = 0
    fields: list[Header] = []
    lengths: set[bytes] = set()
    if _FORBIDDEN.search(b"".join([value for _, value in headers])):
        raise MalformedResponseError("a header holds a line break")
    for header in headers:
        name, value = header
        if name == b":status" and not status and not fields and _STATUS.fullmatch(value):
            status = int(value)
        elif _NAME.fullmatch(name) is None or name in _OF_CONNECTION:
            raise MalformedResponseError(f"the header {name[:40]!r} is not allowed")
        else:
            fields.append(header)
            if name == b"content-length":
                lengths.add(value)
    if not status or status == 101:
        raise MalformedResponseError(f"the status is {status or 'missing'}")
    return ResponseHead(status, fields, _read_length(lengths))


def _read_length(lengths: set[bytes]) -> int | None:
    if not lengths:
        return None
    value = lengths.pop()
    if lengths or _LENGTH.fullmatch(value) is None:
        raise MalformedResponseError("the content-length is not a number")
    return int(value)
