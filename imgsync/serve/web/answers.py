"""Answers with the headers that each of them has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.wrappers import Response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def answer_text(text: str, status: int = 200, *, kind: str = "text/plain", headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with *text*."""
    return _secure(Response(text, status=status, content_type=f"{kind}; charset=utf-8"), headers)


def answer_bytes(data: bytes, *, kind: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with *data*."""
    return _secure(Response(data, content_type=kind), headers)


def answer_json(document: Mapping[str, Any], status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer with a JSON document."""
    return _secure(Response(f"{json.dumps(document, ensure_ascii=False)}\n", status=status, content_type="application/json"), headers)


def answer_stream(pieces: Iterable[str], *, kind: str) -> Response:
    """Return an answer that is sent in pieces."""
    return _secure(Response((piece.encode() for piece in pieces), content_type=kind), {"X-Accel-Buffering": "no"})


def answer_redirect(path: str) -> Response:
    """Return an answer that has the browser open *path* of this server."""
    return _secure(Response("", status=303, content_type="text/plain; charset=utf-8"), {"Location": path})


def _secure(response: Response, headers: Mapping[str, str] | None) -> Response:
    for name, value in {**_HEADERS, **(headers or {})}.items():
        response.headers[name] = value
    return response
