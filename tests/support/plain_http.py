"""
A small HTTP client for the tests' own requests to loopback registries.

A request of httpx takes several milliseconds of processor time, and the suite pushes thousands of images.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """A whole response, with the names that httpx gives its parts."""

    status_code: int
    headers: Mapping[str, str]
    """Without regard to letter case."""
    content: bytes

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body as the JSON document that it must be."""
        return json.loads(self.content)


class PlainClient:
    """Sends one request after another over one connection, as httpx.Client does; follows no redirect."""

    def __init__(self, host: str, headers: Mapping[str, str] | None = None) -> None:
        """Connect to *host*, HOST:PORT, when first needed; send *headers* with each request."""
        self._host = host
        self._headers = dict(headers or {})
        self._connection = http.client.HTTPConnection(host, timeout=30)

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def request(self, method: str, target: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None) -> PlainAnswer:
        """Send one request; *target* is a path, or a URL of the same host."""
        path = target.removeprefix(f"http://{self._host}")
        assert path.startswith("/"), f"{target} is not at {self._host}"
        self._connection.request(method, path, body=content, headers=self._headers | dict(headers or {}))
        with self._connection.getresponse() as response:
            return PlainAnswer(response.status, response.headers, response.read())

    def get(self, target: str, *, headers: Mapping[str, str] | None = None) -> PlainAnswer:
        """Send a GET."""
        return self.request("GET", target, headers=headers)

    def head(self, target: str, *, headers: Mapping[str, str] | None = None) -> PlainAnswer:
        """Send a HEAD."""
        return self.request("HEAD", target, headers=headers)

    def post(self, target: str) -> PlainAnswer:
        """Send a POST without a body."""
        return self.request("POST", target)

    def put(self, target: str, *, content: bytes, headers: Mapping[str, str] | None = None) -> PlainAnswer:
        """Send a PUT."""
        return self.request("PUT", target, headers=headers, content=content)

    def delete(self, target: str) -> PlainAnswer:
        """Send a DELETE."""
        return self.request("DELETE", target)
