"""When mirrors ran before this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from imgsync.concurrency.greenlets import spawn
from imgsync.concurrency.stop import Stop
from imgsync.errors import ImgsyncError
from imgsync.serve.declarations.follower import Declarations
from imgsync.text.units import parse_timestamp

ReadSuccesses = Callable[[Declarations, Stop], Mapping[str, str]]


class EarlierRuns:
    """
    Reads the last successes from the state, once, beside the loop.

    The state may be in a registry that does not answer; pages, probes and signals must not wait for it.
    """

    def __init__(self, read: ReadSuccesses, *, on_end: Callable[[], None], on_bug: Callable[[BaseException], None]) -> None:
        """
        Read nothing yet.

        Args:
            read: Returns the successes by mirror, as the state has them.
            on_end: Called when they were read, or could not be.
            on_bug: Called with an error that is a bug.
        """
        self._read = read
        self._on_end = on_end
        self._on_bug = on_bug
        self._stop: Stop | None = None
        self.successes: Mapping[str, datetime] = {}
        self.problem = ""
        self.has_ended = False

    def begin(self, declarations: Declarations) -> None:
        """Begin to read, with the settings of *declarations*; only once."""
        if self._stop is None:
            self._stop = Stop()
            stop = self._stop
            spawn(lambda: self._run(declarations, stop))

    def stop(self, grace_seconds: float) -> None:
        """End within *grace_seconds*."""
        if self._stop is not None:
            self._stop.request("interrupted", grace_seconds=grace_seconds, interrupted=True)

    def add_to(self, known: Mapping[str, datetime]) -> Mapping[str, datetime]:
        """Return *known* moments with those of the state where these are later."""
        found = dict(known)
        for name, moment in self.successes.items():
            found[name] = max(moment, found.get(name, moment))
        return found

    def _run(self, declarations: Declarations, stop: Stop) -> None:
        try:
            self.successes = parse_successes(self._read(declarations, stop))
        except ImgsyncError as error:
            self.problem = error.message
        except Exception as error:  # noqa: BLE001 - runs must begin all the same
            self._on_bug(error)
        self.has_ended = True
        self._on_end()


def parse_successes(texts: Mapping[str, str]) -> dict[str, datetime]:
    """Return the moments of the last successes, as the state has them."""
    return {name: moment for name, text in texts.items() if (moment := parse_timestamp(text)) is not None}
