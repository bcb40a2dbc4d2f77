"""
Keep the coordinator connected to its broker.

A broker that is away is tried again, since it may restart. One that refuses the coordinator is an error, as is a queue that another coordinator keeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from imgsync.concurrency.greenlets import pause
from imgsync.errors import UsageError
from imgsync.fleet.broker_login import REFUSED_HINT, UNREACHABLE_HINT
from imgsync.fleet.link import BrokerLink, LockedQueueError, OpenLink
from imgsync.fleet.repeats import Repeats
from imgsync.logs.logger import Logger

_RECONNECT_SECONDS = 1.0
# As long as a broker may take to notice that an earlier coordinator is gone.
_LOCK_SECONDS = 30.0
_LOCKED = f"another coordinator holds it, or one that ended a moment ago; this one waits up to {_LOCK_SECONDS:.0f} seconds"


class SteadyLink:
    """A link that is opened again when it is lost."""

    def __init__(self, link: BrokerLink, *, log: Logger, clean: Callable[[str], str]) -> None:
        """Connect to nothing yet; *clean* hides secrets in a text."""
        self.waits_for = ""
        """What the last attempt failed at, empty after a connection."""
        self._link = link
        self._log = log
        self._clean = clean
        self._was_open = False
        self._locked_since: float | None = None
        self._repeats = Repeats()

    @property
    def address(self) -> str:
        """Return the address without the login."""
        return self._link.address

    def check(self, *, is_over: Callable[[], bool]) -> bool:
        """
        Try until the broker accepts a coordinator.

        Returns:
            False if *is_over* came first.

        Raises:
            UsageError: The broker refuses it, or another coordinator uses the queue.
        """
        return self._try(self._check_once, is_over=is_over)

    def serve(self, work: Callable[[OpenLink], bool], *, is_over: Callable[[], bool]) -> None:
        """
        Have *work* done with an open link, again after each loss.

        It ends when *work* returns True, or at *is_over*.

        Raises:
            UsageError: The broker refuses the first connection, or another coordinator uses the queue.
        """

        def serve_once() -> bool:
            with self._link.open() as link:
                self._note_open()
                return work(link)

        self._try(serve_once, is_over=is_over)

    def _check_once(self) -> bool:
        self._link.check()
        self._note_open()
        return True

    def _try(self, attempt: Callable[[], bool], *, is_over: Callable[[], bool]) -> bool:
        while not is_over():
            try:
                if attempt():
                    return True
            except LockedQueueError as error:
                self._note_locked(error)
                pause(_RECONNECT_SECONDS)
            except self._link.errors as error:
                self._raise_if_refused(error)
                self._note_away(error)
                pause(_RECONNECT_SECONDS)
        return False

    def _note_open(self) -> None:
        self._was_open, self._locked_since, self.waits_for = True, None, ""
        self._repeats.end()

    def _note_locked(self, error: LockedQueueError) -> None:
        """
        Log once that the queue is not free yet.

        Raises:
            UsageError: It was not for as long as a broker may keep it for a coordinator that is gone.
        """
        now = time.monotonic()
        if self._locked_since is None:
            self._locked_since = now
            self.waits_for = f"the queue {error}, which another coordinator uses"
            self._log.warning("queue.locked", queue=str(error), reason=_LOCKED)
        if now - self._locked_since > _LOCK_SECONDS:
            raise UsageError(f"another coordinator uses the queue {error}", hint="wait for it, or give this run another --queue") from error

    def _raise_if_refused(self, error: Exception) -> None:
        """
        Return if another attempt may succeed after *error*.

        Raises:
            UsageError: The broker refused the first connection.
        """
        if isinstance(error, self._link.refusals) and not self._was_open:
            reason = self._clean(str(error))[:300]
            raise UsageError(f"{self.address}: {reason}", hint=REFUSED_HINT) from error

    def _note_away(self, error: Exception) -> None:
        """Log that the broker is away: at once, then at growing intervals."""
        reason = self._clean(f"{type(error).__name__}: {error}")[:200]
        self.waits_for = f"the broker {self.address} ({reason})"
        if not self._repeats.is_due(time.monotonic()):
            return
        if self._was_open:
            self._log.warning("broker.lost", broker=self.address, reason=reason)
        else:
            self._log.warning("broker.unreachable", broker=self.address, reason=reason, hint=UNREACHABLE_HINT)
