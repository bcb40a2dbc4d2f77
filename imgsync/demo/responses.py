"""Requests and responses of the embedded registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any
from urllib.parse import parse_qs, quote

from imgsync.system.dataclass import dataclass

_PAGE_SIZE = 1000
REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    416: "Range Not Satisfiable",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the handlers need it."""

    method: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any

    def parameter(self, name: str) -> str:
        """Return the first value of the query parameter *name*, "" without one."""
        return self.query.get(name, [""])[0]


@dataclass(frozen=True, slots=True)
class Response:
    """Status, body and headers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class ErrorResponse(Exception):  # noqa: N818 - a response that a handler raises
    """An error in the form of the distribution specification."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Build the response."""
        super().__init__(message)
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self.response = Response(status, body, {"Content-Type": "application/json"})


def parse_request(environ: dict[str, Any]) -> Request:
    """Return the request of a WSGI *environ*."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE") or ""
    return Request(environ["REQUEST_METHOD"], parse_qs(environ.get("QUERY_STRING", "")), headers, environ["wsgi.input"])


def require_method(request: Request, *methods: str) -> None:
    """Raise an `ErrorResponse` unless the request's method is one of *methods*."""
    if request.method not in methods:
        raise ErrorResponse(405, "UNSUPPORTED", f"method {request.method} is not supported here")


def respond_page(request: Request, names: Sequence[str], path: str, to_document: Callable[[Sequence[str]], dict[str, object]]) -> Response:
    """
    Return one page of *names*, with a `Link` to the next.

    Spec: distribution-spec 1.1, "Listing Tags".
    """
    require_method(request, "GET")
    size = min(int(request.parameter("n")), _PAGE_SIZE) if request.parameter("n").isdigit() else _PAGE_SIZE
    after = [name for name in names if name > request.parameter("last")]
    page = after[:size]
    headers = {"Content-Type": "application/json"}
    if len(after) > size and page:
        headers["Link"] = f'<{path}?n={size}&last={quote(page[-1], safe="")}>; rel="next"'
    return Response(200, json.dumps(to_document(page)).encode(), headers)
