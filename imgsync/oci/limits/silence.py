"""Ask a server no more that answers nothing for long."""

from __future__ import annotations

import time

from imgsync.text.units import format_duration

# As long as a registry may ask for a pause.
LONGEST_SECONDS = 300.0
_LEAST_FAILURES = 8
# The pause between two attempts is shorter. After a longer one, counting begins again.
_GAP_SECONDS = 120.0


class Silence:
    """
    How long a server has served nothing.

    Each request alone is repeated for minutes. Thousands of them, one after the other, would keep a run busy for days, and other mirrors waiting.
    """

    def __init__(self, server: str) -> None:
        """Begin; nothing was asked yet."""
        self._server = server
        self._failures = 0
        self._since = 0.0
        self._last = 0.0

    def explain(self) -> str:
        """Return why it is asked no more, "" if it is."""
        seconds = self._last - self._since
        if self._failures < _LEAST_FAILURES or seconds < LONGEST_SECONDS:
            return ""
        return f"{self._server} has served nothing for {format_duration(seconds)}, and is asked no more in this run"

    def note_answer(self, status: int) -> None:
        """Take note of an answer with this *status*."""
        if status >= 500 or status == 429:
            self.note_failure(time.monotonic())
        else:
            self._failures = 0

    def note_failure(self, began: float) -> None:
        """Take note of a request without an answer, sent at *began*."""
        now = time.monotonic()
        if not self._failures or began - self._last > _GAP_SECONDS:
            self._failures, self._since = 0, now
        self._failures += 1
        self._last = now
