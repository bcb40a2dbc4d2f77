"""
imgsync on a terminal, which records what a user sees.

The terminal is pyte's: an emulator that is not ours, so a wrong escape shows as on a real screen.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyte
import pyte.screens

from tests.support.canary import CANARY
from tests.support.forked import Forked
from tests.support.run_imgsync import Workplace, eventually

CTRL_C = "\x03"
_SECONDS = 30.0
_POLL_SECONDS = 0.2
# What is left of an escape if its first character was dropped, and characters that no program should show.
_RAW = re.compile(r"\[\??[0-9;]+[mKJAHhl](?!\])|[\x00-\x08\x0b-\x1f\x7f\x9b]")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Screen(pyte.HistoryScreen):
    """A screen that remembers which lines were too wide for it."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__(columns, rows, history=10_000, ratio=1)
        self.too_wide: list[str] = []

    def draw(self, data: str) -> None:
        if self.cursor.x + len(data) > self.columns:
            self.too_wide.append(self.display[self.cursor.y][: self.cursor.x] + data)
        super().draw(data)

    def all_lines(self) -> list[str]:
        """Return all lines, those that scrolled away first, without spaces at their ends."""
        gone = ["".join(row[column].data for column in range(self.columns)) for row in self.history.top]
        return [line.rstrip() for line in [*gone, *self.display]]


@dataclass(frozen=True, slots=True)
class Recording:
    """
    What one run showed.

    Attributes:
        code: The exit code.
        raw: Everything that was written, with escapes.
        frames: The screen each time the program paused, as text.
        text: All lines at the end, those that scrolled away first.
        too_wide: Lines that did not fit the terminal.
    """

    code: int
    raw: str
    frames: tuple[str, ...]
    text: str
    too_wide: tuple[str, ...]

    @property
    def raw_escapes(self) -> list[str]:
        """Return what a user saw of escapes, in any frame."""
        return [found[0] for frame in (*self.frames, self.text) for found in _RAW.finditer(frame.replace("\n", " "))]

    @property
    def has_colour(self) -> bool:
        """Return whether anything had a colour or was bold."""
        return _COLOUR.search(self.raw) is not None

    def ever_shows(self, pattern: str) -> bool:
        """Return whether a frame matches *pattern*."""
        return any(re.search(pattern, frame) for frame in self.frames)


class Terminal:
    """
    Runs imgsync with stdin, stdout and stderr on one terminal.

    Use it in a `with` block: at its end the program is killed if it still runs.
    """

    def __init__(self, workplace: Workplace, *arguments: str, columns: int = 80, rows: int = 24, **environ: str) -> None:
        """Start imgsync with *arguments*."""
        self._screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._raw = b""
        self._frames: list[str] = []
        self._arguments = arguments
        self._master, slave = pty.openpty()
        self._set_size(columns, rows)
        environment = {name: value for name, value in workplace.environment({"TERM": "xterm-256color", **environ}).items() if name != "COLUMNS"}
        self._process = Forked(arguments, cwd=workplace.folder, env=environment, terminal=os.ttyname(slave))
        self._slave: int | None = slave  # kept until the program has opened the terminal, which would end without it

    def __enter__(self) -> Self:
        """Return the terminal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill a program that still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        for descriptor in (self._master, self._slave):
            if descriptor is not None:
                os.close(descriptor)

    @property
    def frame(self) -> str:
        """Return what the screen shows now."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def wait_for(self, pattern: str) -> str:
        """Return the first frame from now on that matches *pattern*."""
        ends = time.monotonic() + _SECONDS
        while not re.search(pattern, self.frame):
            assert time.monotonic() < ends, f"{pattern!r} does not show:\n{self.frame}"
            assert self._read(ends), f"the program ended without {pattern!r}:\n{self.frame}"
        return self.frame

    def press(self, key: str) -> None:
        """Type *key*, once there is a program that gets it."""
        eventually(lambda: os.tcgetpgrp(self._master) > 0 and _handles_signals(self._process.pid))
        os.write(self._master, key.encode())

    def resize(self, columns: int) -> None:
        """Give the terminal another width, as a user who drags its edge; the screen does not rewrap its lines."""
        self._screen.resize(columns=columns)
        self._set_size(columns, self._screen.lines)

    def finish(self) -> Recording:
        """Wait for the end and return the recording."""
        ends = time.monotonic() + _SECONDS
        while self._read(ends):
            assert time.monotonic() < ends, f"imgsync {' '.join(self._arguments)} still runs:\n{self.frame}"
        code = self._process.wait(_SECONDS)
        raw = self._raw.decode(errors="replace")
        CANARY.told(raw, " ".join(self._arguments))
        return Recording(code, raw, tuple(self._frames), "\n".join(self._screen.all_lines()).rstrip(), tuple(self._screen.too_wide))

    def _read(self, ends: float) -> bool:
        """Read until the program pauses; return whether it still runs."""
        is_ready = select.select([self._master], [], [], min(_POLL_SECONDS, max(0.0, ends - time.monotonic())))[0]
        if self._slave is not None and (is_ready or self._process.poll() is not None):
            os.close(self._slave)
            self._slave = None
        if not is_ready:
            return True
        while True:
            try:
                piece = os.read(self._master, 1 << 16)
            except OSError:  # Linux says so at the end of a terminal.
                piece = b""
            self._raw += piece
            self._stream.feed(piece)
            if not piece:
                return False
            if not select.select([self._master], [], [], 0)[0]:
                break
        if not self._frames or self._frames[-1] != self.frame:
            self._frames.append(self.frame)
        return True

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _handles_signals(pid: int) -> bool:
    """Return whether the program has set its own handlers, SIGTERM's as the last; a program that has ended counts."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    return "State:\tZ" in status or (caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1))


def record(workplace: Workplace, *arguments: str, **options: Any) -> Recording:
    """Run imgsync on a terminal to its end."""
    with Terminal(workplace, *arguments, **options) as terminal:
        return terminal.finish()


def without_escapes(raw: str) -> str:
    """Return *raw* without colours and cursor movements."""
    return _ESCAPE.sub("", raw)
