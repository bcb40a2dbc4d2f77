"""Switches of the storms: a watch, a signal, deletion by tag."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Collection

from tests.storms.stores import Store, missing
from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Switch

_REFERENCE = re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<name>[^/]+)")


class Watch(Switch):
    """
    Check the registry after each write, before the client has the answer.

    Tags change by such requests only, so that nothing is missed. Findings are kept in `violations`.
    """

    def __init__(self, store: Store, *, side: str) -> None:
        """Watch *store*; *side* names it in what is found."""
        self._store = store
        self._side = side
        # What a run may delete, and which tags must not move: set for each run.
        self.needed: Collection[tuple[str, str]] = ()
        self.fixed: Callable[[str], bool] = lambda _: False
        self._known: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self.violations: list[str] = []
        self.changes = 0

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Look, where anything may have changed."""
        found = _REFERENCE.fullmatch(request.path)
        if found is not None and request.method in {"PUT", "DELETE"} and answer.status < 300:
            with self._lock:
                self.look(found["repository"], what=f"{request.method} {request.target}", deleted=request.method == "DELETE")
        return answer

    def forget(self, repository: str, tag: str) -> None:
        """Know nothing of a tag that the test itself took away."""
        self._known.pop((repository, tag), None)

    def look(self, repository: str, *, what: str, deleted: bool = False) -> None:
        """Look at every tag of *repository* after *what*."""
        self.changes += 1
        served = self._store.tags(repository)
        for tag, digest in served.items():
            if self._known.get((repository, tag)) != digest or deleted:
                self.violations += [f"{self._side}: after {what} the tag {tag} is not whole: {lack}" for lack in missing(self._store, repository, digest)]
            before = self._known.get((repository, tag))
            if before is not None and before != digest and self.fixed(tag):
                self.violations.append(f"{self._side}: after {what} the immutable tag {tag} names {digest}, not {before}")
            self._known[repository, tag] = digest
        for gone in [key for key in self._known if key[0] == repository and key[1] not in served]:
            del self._known[gone]
            if gone in self.needed:
                self.violations.append(f"{self._side}: {what} took {gone[0]}:{gone[1]} away, which is needed")


class Blow(Switch):
    """Signal a process once, at a request or before its answer."""

    def __init__(self, number: signal.Signals, *, answered: bool) -> None:
        """Send the signal *number*, to `pid` once it is known."""
        self._number = number
        self._answered = answered
        self._pid: int | None = None
        self._started = threading.Event()
        self.struck = False

    def at(self, pid: int) -> None:
        """Name the process."""
        self._pid = pid
        self._started.set()

    def request(self, request: Request) -> Request | Answer:
        """Strike before the registry has it."""
        if not self._answered:
            self._strike()
        return request

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Strike when the registry did it."""
        if self._answered:
            self._strike()
        return answer

    def _strike(self) -> None:
        if self._started.wait(10) and not self.struck and self._pid is not None:
            self.struck = True
            try:
                os.kill(self._pid, self._number)
            except ProcessLookupError:
                self.struck = False


class DeletesTags(Switch):
    """Delete tags on the registry's disk, as most registries can."""

    def __init__(self, store: Store) -> None:
        """Delete from *store*."""
        self._store = store

    def request(self, request: Request) -> Request | Answer:
        """Delete, or let through."""
        found = _REFERENCE.fullmatch(request.path)
        if request.method != "DELETE" or found is None or ":" in found["name"]:
            return request
        if found["name"] not in self._store.tags(found["repository"]):
            return plain_answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
        self._store.untag(found["repository"], found["name"])
        return plain_answer(202)
