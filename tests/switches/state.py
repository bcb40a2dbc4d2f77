"""Switches that stop the program at a named step."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Switch

# When request *number* arrives; when the registry acted and its client does not know it; when the client got the answer; some time after it arrived.
When = Literal["arrives", "answered", "told", "after"]


class AtStep(Switch):
    """
    Act once, at one of the requests that its proxies get.

    *of* (a pattern of `METHOD target`) says which requests count, from 1. The action blocks the request; with "after" it runs *delay* seconds later. Add it
    first: an earlier switch may answer in the registry's place.
    """

    def __init__(self, number: int, when: When, action: Callable[[], None], *, of: str = "", delay: float = 0) -> None:
        """Act at request *number*."""
        self.count = 0
        self._of = re.compile(of)
        self._number = number
        self._when = when
        self._action = action
        self._delay = delay
        self._lock = threading.Lock()
        # A connection has a thread of its own, and one request at a time.
        self._mine = threading.local()

    def request(self, request: Request) -> Request | Answer:
        """Count, and act before the registry gets the request."""
        with self._lock:
            counts = self._of.search(f"{request.method} {request.target}") is not None
            self.count += counts
            self._mine.number = self.count if counts else 0
        if self._is_the_one("arrives"):
            self._action()
        elif self._is_the_one("after"):
            threading.Timer(self._delay, self._action).start()
        return request

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Act where it is to be after the registry did it."""
        # It is unknown when an answer without a body was read.
        if self._is_the_one("answered") or (self._is_the_one("told") and request.method == "HEAD"):
            self._action()
        elif self._is_the_one("told"):
            return replace(answer, body=lambda: self._then(answer.body()))
        return answer

    def _is_the_one(self, when: When) -> bool:
        return self._when == when and getattr(self._mine, "number", 0) == self._number

    def _then(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield from pieces
        self._action()


class LosesAnswer(Switch):
    """Have the registry do what it is asked, and answer 500."""

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Answer 500."""
        for _ in answer.body():
            pass
        return plain_answer(500)
