"""The web application over a test board, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from imgsync.serve.web.app import WebApp, make_app
from imgsync.serve.web.parts import WebParts
from tests.support.board import TestBoard, busy_board
from tests.support.web_parts import make_parts
from tests.support.web_server import TOKEN

OWN = {"Host": "localhost:8080"}
FROM_PAGE = {**OWN, "Sec-Fetch-Site": "same-origin"}


@dataclass
class Site:
    """The application, its parts, and a browser without scripts."""

    app: WebApp
    parts: WebParts
    client: Client

    def get(self, path: str, **headers: str) -> TestResponse:
        """Send a GET as a browser does."""
        return self.client.get(path, headers={**OWN, "Accept": "text/html", **headers})

    def post(self, path: str, form: dict[str, str] | None = None, **headers: str) -> TestResponse:
        """Send a form of a page of ours."""
        return self.client.post(path, data=form or {}, headers={**FROM_PAGE, "Accept": "text/html", **headers})

    def log_in(self) -> str:
        """Log in; return the CSRF token of the forms."""
        assert self.post("/login", {"token": TOKEN}).status_code == 303
        return self.get("/").text.partition('name="csrf" value="')[2].partition('"')[0]

    def asked(self) -> list[tuple[tuple[str, ...], bool]]:
        """Return the runs that were asked for."""
        return [(request.mirrors, request.applies) for request in self.parts.inbox.take_requests()]


@pytest.fixture
def site() -> Callable[..., Site]:
    """Make a site for a board."""

    def make(board: TestBoard | None = None, **options: Any) -> Site:
        parts = make_parts(board or busy_board(), **options)
        app = make_app(parts)
        return Site(app, parts, Client(app))

    return make
