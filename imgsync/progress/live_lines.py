"""Draw lines in place, and remove them whatever happened to the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from imgsync.progress.layout import Line


class LiveLines:
    """
    Lines at the bottom of a terminal.

    Each ends with a line break, so that what a user types (such as `^C`) is below them. The cursor stays visible: a run that is
    killed leaves a usable terminal.
    """

    def __init__(self, render: Callable[[int], Sequence[Line]], *, find_size: Callable[[], os.terminal_size], rewraps: bool) -> None:
        """
        Draw nothing yet.

        Args:
            render: Returns the lines for a number of columns.
            find_size: Returns the size of the terminal.
            rewraps: Whether the terminal wraps lines again that are wider than its new width.
        """
        self._render = render
        self._find_size = find_size
        self._rewraps = rewraps
        self._drawn: tuple[Line, ...] = ()

    def draw(self) -> str:
        """Return the lines as they are now."""
        size = self._find_size()
        # One column and one row stay free: a full line would wrap on some terminals, and the last row is the cursor's.
        self._drawn = tuple(self._render(size.columns - 1)[: size.lines - 1])
        return "".join(f"{line.text}\n" for line in self._drawn)

    def erase(self) -> str:
        """Return what removes the drawn lines."""
        columns = self._find_size().columns
        rows = sum(max(1, -(-line.width // columns)) if self._rewraps else 1 for line in self._drawn)
        self._drawn = ()
        return f"\r\x1b[{rows}A\x1b[J" if rows else ""
