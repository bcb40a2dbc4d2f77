"""Switches that echo secrets in awkward ways."""

from __future__ import annotations

import json

from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Switch


class AskForToken(Switch):
    """Answer 401 to a request without an Authorization header."""

    def __init__(self, realm: str) -> None:
        """Name the token server *realm*."""
        self._answer = plain_answer(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'})

    def request(self, request: Request) -> Request | Answer:
        """Pass on a request with the header."""
        return request if request.header("authorization") else self._answer


class EchoAcross(Switch):
    """Echo the Authorization header so that *limit* cuts through it."""

    def __init__(self, status: int, *, limit: int, shown: int) -> None:
        """Answer *status*; *shown* characters lie before *limit*."""
        self._status = status
        self._filling = limit - shown

    def request(self, request: Request) -> Request | Answer:
        """Answer, once there is a header to echo."""
        value = (request.header("authorization") or "").partition(" ")[2]
        body = {"errors": [{"code": "DENIED", "message": f"{'x' * (self._filling - 1)} {value}"}]}
        return plain_answer(self._status, json.dumps(body).encode()) if value else request
