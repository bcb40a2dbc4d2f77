"""The web application of `imgsync serve`: pages, API, metrics, probes and events."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from imgsync.serve.web.answers import answer_text
from imgsync.serve.web.parts import WebParts
from imgsync.serve.web.probes import Probes

Handle = Callable[..., Response]


class WebApp:
    """A WSGI application; `close` ends the streams that it sends."""

    def __init__(self, parts: WebParts) -> None:
        """Serve what *parts* have."""
        self._parts = parts
        probes = Probes(parts)
        self._handles: dict[str, Handle] = {"healthz": probes.show_health, "readyz": probes.show_readiness}
        self._map = Map(
            [
                Rule("/healthz", endpoint="healthz", methods=["GET"]),
                Rule("/readyz", endpoint="readyz", methods=["GET"]),
            ],
            strict_slashes=False,
        )

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        answer: Iterable[bytes] = self._answer(Request(environ))(environ, start_response)
        return answer

    def close(self) -> None:
        """End the streams that are being sent."""

    def _answer(self, request: Request) -> Response:
        try:
            endpoint, values = self._map.bind_to_environ(request.environ).match()
            return self._handles[endpoint](request, **values)
        except HTTPException as error:
            return answer_text(f"{error.code} {error.name}\n", error.code or 500)


def make_app(parts: WebParts) -> WebApp:
    """Return the application for `--listen`."""
    return WebApp(parts)
