"""Switches for what is printed: registries whose words are made to get a secret past whoever hides it."""

from __future__ import annotations

import json

from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Switch


class EchoAcross(Switch):
    """Answer an error that says the Authorization header it was sent, so that *shown* characters of it come before the place *limit* of the message."""

    def __init__(self, status: int, *, limit: int, shown: int) -> None:
        """Answer *status*; whoever cuts the message at *limit* leaves *shown* characters of the header's value."""
        self._status = status
        self._filling = limit - shown

    def request(self, request: Request) -> Request | Answer:
        """Answer, once there is a header to echo."""
        value = (request.header("authorization") or "").partition(" ")[2]
        body = {"errors": [{"code": "DENIED", "message": f"{'x' * (self._filling - 1)} {value}"}]}
        return plain_answer(self._status, json.dumps(body).encode()) if value else request
