"""Look for other declarations at intervals, beside the loop."""

from __future__ import annotations

from collections.abc import Callable

from imgsync.concurrency.greenlets import Event, spawn
from imgsync.errors import ImgsyncError
from imgsync.serve.declarations.follower import Declarations, Follower


class DeclarationWatch:
    """
    Polls a follower in a greenlet of its own.

    A slow network delays nothing else.

    `news` are the last declarations that the loop has not taken yet. `fault` says why the origin cannot be read, "" if it can.
    """

    def __init__(self, follower: Follower, *, on_poll: Callable[[], None], on_error: Callable[[BaseException], None]) -> None:
        """
        Prepare to poll *follower*.

        Args:
            follower: Reads the declarations.
            on_poll: Called after each poll.
            on_error: Called with an error that is a bug.
        """
        self.follower = follower
        self.news: Declarations | None = None
        self.fault = ""
        self._on_poll = on_poll
        self._on_error = on_error
        self._wanted = Event()
        self._must_read = False
        self._is_closed = False

    def start(self) -> None:
        """Begin to poll, for the first time after an interval."""
        spawn(self._run)

    def poll_now(self, *, must_read: bool) -> None:
        """Poll at once; with *must_read*, read everything again."""
        self._must_read = self._must_read or must_read
        self._wanted.set()

    def take(self) -> Declarations | None:
        """Return the news, and forget them."""
        taken, self.news = self.news, None
        return taken

    def close(self) -> None:
        """Poll no more."""
        self._is_closed = True
        self._wanted.set()

    def _run(self) -> None:
        while not self._is_closed:
            self._wanted.wait(self.follower.interval_seconds)
            self._wanted.clear()
            if not self._is_closed:
                self._poll()

    def _poll(self) -> None:
        must_read, self._must_read = self._must_read, False
        try:
            found = self.follower.poll(must_read=must_read)
            self.news = found or self.news
            self.fault = "" if found is None else found.fault
        except ImgsyncError as error:
            self.fault = error.message
        except Exception as error:  # noqa: BLE001 - a bug here must not stop the polling
            self.fault = f"internal error: {type(error).__name__}"
            self._on_error(error)
        self._on_poll()
