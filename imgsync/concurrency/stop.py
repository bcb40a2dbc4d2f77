"""Stopping: a flag that loops read, deadlines, and streams that check both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import gevent
import gevent.event

from imgsync.errors import StoppedError

_MEBIBYTE = 1 << 20


_LEFT_BEHIND_SECONDS = 1.0


class Stop:
    """
    A stop asked for from outside: first no new work (`requested`), then an end to what runs (`cut`).

    When the time is up (`expire`) nothing new is started either, but what only finds out what is left goes on until the cut.
    """

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self.reason = ""
        self.cut = False
        # Whether somebody wanted it, rather than the clock.
        self.by_hand = False
        self._expired = False
        self._cut_at: float | None = None
        self._event = gevent.event.Event()

    @property
    def requested(self) -> bool:
        """Return whether no new work may begin."""
        return bool(self._event.is_set())

    def request(self, reason: str, *, grace_seconds: float | None = None, by_hand: bool = False) -> None:
        """Ask that nothing new begins; after *grace_seconds* (if given) also that running work ends; *by_hand* says that somebody wants it."""
        self.reason = self.reason or reason
        self.by_hand = self.by_hand or by_hand
        self._event.set()
        if grace_seconds is not None:
            gevent.spawn_later(grace_seconds, self._cut)

    def expire(self, reason: str, *, grace_seconds: float | None = None) -> None:
        """Let nothing new be started; after *grace_seconds* (if given) also end what runs."""
        self.reason = self.reason or reason
        self._expired = True
        if grace_seconds is not None:
            gevent.spawn_later(grace_seconds, self._cut)

    @property
    def closed(self) -> bool:
        """Return whether nothing new may be started, be it that a stop was requested or that the time is up."""
        return self._expired or self.requested

    def wait(self, seconds: float) -> bool:
        """Sleep up to *seconds* and return whether a stop was asked meanwhile."""
        return bool(self._event.wait(seconds))

    @property
    def abandons(self) -> bool:
        """Return whether what runs had its second to see the cut, and is no longer waited for."""
        return self._cut_at is not None and time.monotonic() - self._cut_at > _LEFT_BEHIND_SECONDS

    def check_new(self) -> None:
        """
        Return when new work may begin.

        Raises:
            StoppedError: A stop was requested.
        """
        if self.requested:
            raise StoppedError(f"stopped: {self.reason}")

    def _cut(self) -> None:
        self.cut = True
        self._cut_at = self._cut_at or time.monotonic()
        self._event.set()


class Deadline:
    """A limit in seconds that loops ask about, together with a stop that may come from outside."""

    def __init__(self, seconds: float | None, *, stop: Stop | None = None, what: str = "the image", hint: str = "raise timeouts.image") -> None:
        """Begin counting now; None is no limit. *hint* says what to do when it was too short."""
        self._hint = hint
        self._ends = None if seconds is None else time.monotonic() + seconds
        self._seconds = seconds
        self._stop = stop
        self._what = what

    def check(self) -> None:
        """
        Return when there is time left.

        Raises:
            StoppedError: The limit is reached, or the run is being cut.
        """
        if self._stop is not None and self._stop.cut:
            raise StoppedError(f"stopped: {self._stop.reason}")
        if self._ends is not None and time.monotonic() > self._ends:
            raise StoppedError(f"{self._what} took longer than {self._seconds:g}s", hint=self._hint)


def paced(chunks: Iterable[bytes], *, deadline: Deadline, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    """Yield *chunks*, asking the deadline for each, counting, and letting others run after each MiB."""
    since = 0
    for chunk in chunks:
        deadline.check()
        yield chunk
        on_bytes(len(chunk))
        since += len(chunk)
        if since >= _MEBIBYTE:
            since = 0
            # A real timer: sleep(0) runs in the same round of the loop and starves the others.
            gevent.sleep(1e-6)
