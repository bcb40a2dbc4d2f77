"""Switches that hold answers or refuse at random."""

from __future__ import annotations

import threading

from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Hold, Switch


class HoldAnswer(Hold):
    """Forward requests, and hold their answers until released."""

    def request(self, request: Request) -> Request | Answer:
        """Let it go on."""
        return request

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Wait here: what was asked for is done."""
        self._wait()
        return answer


class TooMany(Switch):
    """Answer 429, optionally with Retry-After; `refused` counts them."""

    def __init__(self, retry_after: str | None = None) -> None:
        """Begin with none refused."""
        self._headers = {} if retry_after is None else {"Retry-After": retry_after}
        self._lock = threading.Lock()
        self.refused = 0

    def request(self, request: Request) -> Request | Answer:
        """Refuse."""
        with self._lock:
            self.refused += 1
        return plain_answer(429, b"", self._headers)
