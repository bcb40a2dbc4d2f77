"""What the loop is asked to do, by events, requests and signals."""

from __future__ import annotations

from imgsync.concurrency.greenlets import Event
from imgsync.serve.model import Hint, Request

HINTS_LIMIT = 10_000


class Inbox:
    """
    Collects hints, requests and reloads until the loop takes them.

    Hints are a set: the same one counts once. Past `HINTS_LIMIT` they are widened: to their repository, and then to their registry (a hint
    with the repository ""), so nothing is lost and memory stays bounded.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._hints: dict[Hint, None] = {}
        self._requests: list[Request] = []
        self._reloads = False
        self._looks = False
        self._came = Event()
        self._hints_came = 0

    def add_hint(self, hint: Hint) -> None:
        """Add *hint*."""
        self._hints_came += 1
        if hint in self._hints:
            return
        if len(self._hints) >= HINTS_LIMIT:
            self._widen()
        self._hints[hint] = None
        self._came.set()

    def add_request(self, request: Request) -> None:
        """Add *request*, unless it waits already."""
        if request not in self._requests:
            self._requests.append(request)
        self._came.set()

    def ask_reload(self) -> None:
        """Have the configuration read again."""
        self._reloads = True
        self._came.set()

    def ask_look(self) -> None:
        """Have another version of the declarations looked for."""
        self._looks = True
        self._came.set()

    def wake(self) -> None:
        """Have the loop look at its agenda again."""
        self._came.set()

    def wait(self, seconds: float) -> None:
        """Return when something came, at the latest after *seconds*."""
        self._came.wait(seconds)
        self._came.clear()

    @property
    def waiting(self) -> int:
        """Return how many hints and requests wait."""
        return len(self._hints) + len(self._requests)

    def take_hints(self) -> list[Hint]:
        """Return the hints that came, and forget them."""
        taken, self._hints = list(self._hints), {}
        return taken

    def take_hint_count(self) -> int:
        """Return how often a hint was added since the last call."""
        taken, self._hints_came = self._hints_came, 0
        return taken

    def take_requests(self) -> list[Request]:
        """Return the requests that came, and forget them."""
        taken, self._requests = self._requests, []
        return taken

    def take_reload(self) -> bool:
        """Return whether to read the configuration again."""
        taken, self._reloads = self._reloads, False
        return taken

    def take_look(self) -> bool:
        """Return whether to look for another version of the declarations."""
        taken, self._looks = self._looks, False
        return taken

    def _widen(self) -> None:
        for widened in (lambda hint: Hint(hint.registry, hint.repository), lambda hint: Hint(hint.registry, "")):
            self._hints = dict.fromkeys(map(widened, self._hints))
            if len(self._hints) < HINTS_LIMIT // 2:
                return
