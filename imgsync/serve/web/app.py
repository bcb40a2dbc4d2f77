"""The web application of `imgsync serve`: pages, API, metrics, probes and events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import Any

from werkzeug.exceptions import HTTPException, InternalServerError, NotFound, RequestEntityTooLarge
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from imgsync.serve.web.access import Access, LoginNeeded
from imgsync.serve.web.actions import Actions
from imgsync.serve.web.answers import answer_bytes, answer_json, answer_redirect, answer_text
from imgsync.serve.web.api import Api
from imgsync.serve.web.live import LiveStreams
from imgsync.serve.web.page_cache import PageCache
from imgsync.serve.web.pages import Pages
from imgsync.serve.web.parts import ReceiveEvent, WebParts
from imgsync.serve.web.probes import Probes
from imgsync.serve.web.templates import make_link, read_static
from imgsync.system.dataclass import dataclass

Handle = Callable[..., Response]
# The next connection may reach another replica.
_TRY_AGAIN = {"Retry-After": "1", "Connection": "close"}
# Ours have a token and a name; to read one of 1 MiB takes a second, for anyone who can send it.
_FORM_LIMIT_BYTES = 16 << 10
_FOREVER = "public, max-age=31536000, immutable"


class Reader(Enum):
    """Who a path is for, and so who may read it."""

    ANYONE = auto()
    """No check at all: probes, and events, which prove themselves."""
    BROWSER = auto()
    """The host is checked: style, script, the login, and metrics, which name mirrors and no more."""
    PERSON = auto()
    """The host is checked, and the login if `private`."""
    PROGRAM = auto()
    """The same; a program sends the token instead."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path, its method, and who reads it."""

    path: str
    method: str
    reader: Reader
    handle: Handle


class WebApp:
    """A WSGI application; `close` ends the streams that it sends."""

    def __init__(self, parts: WebParts) -> None:
        """Serve what *parts* have."""
        self._parts = parts
        self._access = Access(parts)
        self._pages = Pages(parts, self._access)
        self._live = LiveStreams(parts, self._access)
        self._cache = PageCache(parts.clock)
        self._routes = {f"{route.method} {route.path}": route for route in self._list_routes()}
        self._map = Map([Rule(route.path, endpoint=name, methods=[route.method]) for name, route in self._routes.items()], strict_slashes=False)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        answer: Iterable[bytes] = self._answer(Request(environ))(environ, start_response)
        return answer

    def close(self) -> None:
        """End the streams that are being sent."""
        self._live.close()

    def _list_routes(self) -> list[Route]:
        parts, pages = self._parts, self._pages
        api, actions, probes = Api(parts, self._access), Actions(parts, self._access, pages), Probes(parts)
        routes = [
            Route("/", "GET", Reader.PERSON, pages.show_overview),
            Route("/mirrors/<path:name>", "GET", Reader.PERSON, pages.show_mirror),
            Route("/runs", "GET", Reader.PERSON, pages.show_runs),
            Route("/runs/<path:run>", "GET", Reader.PERSON, pages.show_run),
            Route("/plan", "GET", Reader.PERSON, pages.show_plan),
            Route("/live", "GET", Reader.PROGRAM, self._live.stream),
            Route("/login", "GET", Reader.BROWSER, actions.show_login),
            Route("/login", "POST", Reader.BROWSER, actions.log_in),
            Route("/logout", "POST", Reader.BROWSER, actions.log_out),
            Route("/actions/plan", "POST", Reader.BROWSER, actions.ask_plan),
            Route("/actions/apply", "POST", Reader.BROWSER, actions.ask_apply),
            Route("/static/<name>", "GET", Reader.BROWSER, _show_static),
            Route("/api/v1/status", "GET", Reader.PROGRAM, api.show_status),
            Route("/api/v1/mirrors", "GET", Reader.PROGRAM, api.show_mirrors),
            Route("/api/v1/mirrors/<path:name>", "GET", Reader.PROGRAM, api.show_mirror),
            Route("/api/v1/runs", "GET", Reader.PROGRAM, api.show_runs),
            Route("/api/v1/runs/<path:run>", "GET", Reader.PROGRAM, api.show_run),
            Route("/api/v1/plan", "GET", Reader.PROGRAM, api.show_plan),
            Route("/api/v1/reconcile", "POST", Reader.PROGRAM, api.reconcile),
            Route("/metrics", "GET", Reader.BROWSER, api.show_metrics),
            Route("/healthz", "GET", Reader.ANYONE, probes.show_health),
            Route("/readyz", "GET", Reader.ANYONE, probes.show_readiness),
        ]
        return routes + (_list_event_routes(parts.receive_event) if parts.receive_event is not None else [])

    def _answer(self, request: Request) -> Response:
        try:
            name, values = self._map.bind_to_environ(request.environ).match()
            route = self._routes[name]
            if route.reader is not Reader.ANYONE:
                self._access.check_host(request)
            if route.reader in {Reader.PERSON, Reader.PROGRAM}:
                self._access.check_reading(request, by_program=route.reader is Reader.PROGRAM)
            if route.method == "POST" and route.reader is Reader.BROWSER:
                _check_form(request)
            if route.reader is Reader.PERSON:
                session = self._access.find_session(request)
                key = (request.full_path, self._parts.board.version, session.csrf if session is not None else "", self._parts.get_settings().token is None)
                return self._cache.find_or_make(key, lambda: route.handle(request, **values))
            return route.handle(request, **values)
        except LoginNeeded:
            return answer_redirect(make_link("/login", next=request.path if request.method == "GET" else "/"))
        except HTTPException as error:
            return self._answer_error(request, error)
        except Exception as error:  # noqa: BLE001  # a bug: the page says so, and the log has it
            self._parts.on_error(error)
            return self._answer_error(request, InternalServerError("a bug in imgsync; the log has its traceback"))

    def _answer_error(self, request: Request, error: HTTPException) -> Response:
        error = _end_redirect(error)
        status, message = error.code or 500, error.description or error.name
        headers = _list_error_headers(status, error)
        if request.path.startswith("/api/"):
            return answer_json({"error": message}, status, headers=headers)
        if "text/html" in request.headers.get("Accept", "") and not self._is_hidden(request):
            response = self._pages.render(request, "error.html", status, code=status, name=error.name, message=message)
            for name, value in headers.items():
                response.headers[name] = value
            return response
        return answer_text(f"{message}\n", status, headers=headers)

    def _is_hidden(self, request: Request) -> bool:
        """Return whether no page may be shown, not even of an error."""
        try:
            # A path that does not exist was not checked.
            self._access.check_host(request)
        except HTTPException:
            return True
        return self._parts.get_settings().is_private and self._access.find_session(request) is None


def make_app(parts: WebParts) -> WebApp:
    """Return the application for `--listen`."""
    return WebApp(parts)


def make_events_app(receive: ReceiveEvent) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """Return the application for `--listen-events`: events and nothing else."""
    handles = {route.path: route.handle for route in _list_event_routes(receive)}
    paths = Map([Rule(path, endpoint=path, methods=["POST"]) for path in handles], strict_slashes=False)

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        try:
            path, values = paths.bind_to_environ(environ).match()
            response = handles[path](request, **values)
        except HTTPException as error:
            error = _end_redirect(error)
            response = answer_text(f"{error.description or error.name}\n", error.code or 500, headers=_list_error_headers(error.code or 500, error))
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    return serve


def _list_event_routes(receive: ReceiveEvent) -> list[Route]:
    def take(request: Request, name: str, secret: str = "") -> Response:
        headers = {key.lower(): value for key, value in request.headers.items()}
        reply = receive(name, secret, headers, request.get_data(cache=False))
        return answer_text(f"{reply.reason}\n", reply.status, headers=_TRY_AGAIN if reply.status == 503 else None)

    return [Route("/events/<name>", "POST", Reader.ANYONE, take), Route("/events/<name>/<secret>", "POST", Reader.ANYONE, take)]


def _check_form(request: Request) -> None:
    if (request.content_length or 0) > _FORM_LIMIT_BYTES:
        raise RequestEntityTooLarge("the form is too large")


def _show_static(request: Request, name: str) -> Response:
    found = read_static(name)
    if found is None:
        raise NotFound("there is no such file")
    is_current = request.args.get("v", "") == found.version
    return answer_bytes(found.data, kind=found.kind, headers={"Cache-Control": _FOREVER} if is_current else None)


def _end_redirect(error: HTTPException) -> HTTPException:
    # Werkzeug would redirect from a path with two slashes.
    return NotFound("there is no such page") if error.code is not None and error.code < 400 else error


def _list_error_headers(status: int, error: HTTPException) -> Mapping[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="imgsync"'}
    if status == 405:
        return {"Allow": ", ".join(sorted(getattr(error, "valid_methods", None) or ()))}
    return {"Retry-After": "60"} if status in {429, 503} else {}
