"""
Run a program whose time, output, memory and files are limited.

At the end, or at a limit, it is killed with every process that it started. Greenlets continue meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from imgsync.errors import ImgsyncError
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes

_PIECE_BYTES = 64 << 10
_STDERR_BYTES = 1 << 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How often `check` is called.
_TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class ProgramLimits:
    """
    The most that one run of a program may use.

    `file_bytes` limits each file that it writes, None for no limit.
    """

    seconds: float = 60.0
    output_bytes: int = 64 << 20
    memory_bytes: int = 4 << 30
    file_bytes: int | None = None


DEFAULT_LIMITS = ProgramLimits()


class ProgramError(ImgsyncError):
    """
    A program that is missing, failed, or was stopped.

    `limit` names the limit that stopped it, "" if none did. `stderr` is what it printed, unchanged: untrusted.
    """

    def __init__(self, message: str, *, hint: str = "", limit: str = "", stderr: str = "") -> None:
        super().__init__(message, hint=hint)
        self.limit = limit
        self.stderr = stderr


def find_program(name: str, *, path: str) -> str | None:
    """
    Return the path of the program *name*, None if missing.

    Relative folders of *path* are skipped: they may be those of a checkout.
    """
    folders = os.pathsep.join(part for part in path.split(os.pathsep) if part.startswith("/"))
    return shutil.which(name, path=folders) if folders else None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What a program finds when it starts.

    Attributes:
        folder: Its working directory.
        environment: All of its variables.
        stdin: A file that it may read; None for none.
        inherited: Numbers of open files that it and its children may use.
        stops_at_signals: Whether SIGINT and SIGTERM end it first; only for commands that leave them to Python.
        check: Called about four times a second; an error that it raises ends the program.
    """

    folder: str
    environment: Mapping[str, str]
    stdin: IO[bytes] | None = None
    inherited: tuple[int, ...] = ()
    stops_at_signals: bool = False
    check: Callable[[], None] | None = None


def run_program(program: str, arguments: Sequence[str], surroundings: Surroundings, *, limits: ProgramLimits = DEFAULT_LIMITS) -> bytes:
    """
    Return what *program* prints to stdout.

    Raises:
        ProgramError: It cannot be run, exceeds a limit, or fails.
    """
    name = Path(program).name
    with _Guard(catches=surroundings.stops_at_signals) as guard:
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell; the program is from PATH, its arguments are ours
                [program, *arguments],
                stdin=surroundings.stdin or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=surroundings.folder,
                env=surroundings.environment,
                start_new_session=True,
                pass_fds=surroundings.inherited,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ProgramError(f"{name} cannot be run: {reason}", limit="start") from error
        with process, guard.ending(process):
            _limit_resources(process, limits)
            printed, complaint = _communicate(process, limits, name, surroundings.check)
            code = _wait(process, limits, name)
    if code != 0:
        raise _explain_failure(name, code, complaint.decode("utf-8", "replace"), limits)
    return printed


def _limit_resources(process: subprocess.Popen[bytes], limits: ProgramLimits) -> None:
    """Limit memory, and CPU time in case imgsync itself is killed."""
    set_limit = getattr(resource, "prlimit", None)  # only Linux has it
    if set_limit is None:
        return
    cpu_seconds = int(limits.seconds) * (os.cpu_count() or 1) + 1
    # It may have ended.
    with contextlib.suppress(ProcessLookupError):
        set_limit(process.pid, resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
        set_limit(process.pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        if limits.file_bytes is not None:
            set_limit(process.pid, resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))


class _Guard:
    """Ends a process and its children, also at a signal."""

    def __init__(self, *, catches: bool) -> None:
        self._catches = catches
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Before the process starts, so that no signal can come between. Only the main thread may set handlers.
        if self._catches and threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if self._pending:
            signal.raise_signal(self._pending)

    @contextlib.contextmanager
    def ending(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Kill *process* when the block ends, or a signal comes."""
        self._process = process
        try:
            if self._pending:
                self._kill()
            yield
        finally:
            self._kill()

    def _handle(self, number: int, _frame: object) -> None:
        # Its end ends the block, and then the signal has its usual effect.
        self._pending = number
        self._kill()

    def _kill(self) -> None:
        if self._process is not None:
            # It may have ended with all its children.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _communicate(process: subprocess.Popen[bytes], limits: ProgramLimits, name: str, check: Callable[[], None] | None) -> tuple[bytes, bytes]:
    """Return stdout and the beginning of stderr, within the limits."""
    assert process.stdout is not None  # noqa: S101 - both are pipes
    assert process.stderr is not None  # noqa: S101
    ends = time.monotonic() + limits.seconds
    texts = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    printed, complaint = texts.values()
    ready = select.poll()
    for pipe in texts:
        ready.register(pipe, select.POLLIN | select.POLLHUP)
    open_pipes = set(texts)
    while open_pipes:
        left = ends - time.monotonic()
        if left <= 0:
            raise _explain_timeout(name, limits)
        if check is not None:
            check()
            left = min(left, _TICK_SECONDS)
        for pipe, _ in ready.poll(left * 1000):
            piece = os.read(pipe, _PIECE_BYTES)
            texts[pipe] += piece
            if not piece:
                ready.unregister(pipe)
                open_pipes.discard(pipe)
        # What follows is read and dropped.
        del complaint[_STDERR_BYTES:]
        if len(printed) > limits.output_bytes:
            raise ProgramError(f"{name} printed more than {format_bytes(limits.output_bytes)} and was stopped", limit="output_bytes")
    return bytes(printed), bytes(complaint)


def _wait(process: subprocess.Popen[bytes], limits: ProgramLimits, name: str) -> int:
    """Return the exit code of a process that has closed its output."""
    try:
        return process.wait(limits.seconds)
    except subprocess.TimeoutExpired as error:
        raise _explain_timeout(name, limits) from error


def _explain_timeout(name: str, limits: ProgramLimits) -> ProgramError:
    return ProgramError(f"{name} did not end within {limits.seconds:g}s and was stopped", limit="seconds")


def _explain_failure(name: str, code: int, stderr: str, limits: ProgramLimits) -> ProgramError:
    if "out of memory" in stderr or "cannot allocate memory" in stderr:
        return ProgramError(f"{name} needed more than {format_bytes(limits.memory_bytes)} of memory and was stopped", limit="memory_bytes")
    ended = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return ProgramError(f"{name} {ended}", stderr=stderr)
