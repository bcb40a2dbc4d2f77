"""
Run helm or kubectl on untrusted input.

The program gets an empty environment and no input. Its time, output and memory are limited, and it is killed with every process that it started.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from imgsync.errors import ImgsyncError
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_message
from imgsync.text.units import format_bytes

_PIECE_BYTES = 64 << 10
_STDERR_BYTES = 1 << 20
_SHOWN_LINES = 3
_SHOWN_CHARACTERS = 600
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.?")
# What says nothing about the error.
_PADDING = ("Use --debug", "WARNING:", "level=", "# Warning:")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Port 9 discards what it gets, and nothing listens there: a request of the program fails.
_NO_PROXY_ANSWERS = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """The most that one run of a program may use."""

    seconds: float = 60.0
    output_bytes: int = 64 << 20
    memory_bytes: int = 4 << 30


DEFAULT_LIMITS = ToolLimits()


class ToolError(ImgsyncError):
    """
    A program that is missing, failed, or was stopped.

    `stderr` is what it printed, unchanged: untrusted.
    """

    def __init__(self, message: str, *, hint: str = "", stderr: str = "") -> None:
        super().__init__(message, hint=hint)
        self.stderr = stderr


def find_tool(name: str, *, path: str, needed_for: str) -> str:
    """
    Return the path of the program *name*.

    Relative folders of *path* are skipped: they may be those of the checkout.

    Args:
        name: The program.
        path: Folders, as in the variable PATH.
        needed_for: What the program does for imgsync, for the error.

    Raises:
        ToolError: It is not installed.
    """
    folders = os.pathsep.join(part for part in path.split(os.pathsep) if part.startswith("/"))
    found = shutil.which(name, path=folders) if folders else None
    if found is None:
        hint = f"install {name}, or render elsewhere and give the result to `imgsync discover -`"
        raise ToolError(f"{name} is not on PATH; imgsync needs it to {needed_for}", hint=hint)
    return found


def run_tool(program: str, arguments: Sequence[str], *, limits: ToolLimits = DEFAULT_LIMITS) -> bytes:
    """
    Return what *program* prints to stdout.

    Args:
        program: An absolute path.
        arguments: Its arguments; paths in them are absolute.
        limits: What it may use.

    Raises:
        ToolError: It cannot be run, exceeds a limit, or fails.
    """
    name = Path(program).name
    with _Guard() as guard, tempfile.TemporaryDirectory(prefix="imgsync-") as folder:
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell; the program is from PATH, its arguments are ours
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=_make_environment(folder),
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"{name} cannot be run: {error.strerror}", hint=f"run `{name} version` by hand") from error
        with process, guard.ending(process):
            _limit_resources(process, limits)
            printed, complaint = _communicate(process, limits, name)
            code = _wait(process, limits, name)
    if code != 0:
        raise _explain_failure(name, code, complaint.decode("utf-8", "replace"), limits)
    return printed


def _make_environment(folder: str) -> dict[str, str]:
    """Return an environment without credentials, plugins, repositories or network."""
    (Path(folder) / "bin").mkdir()
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NO_PROXY_ANSWERS)
    # Without git on its PATH, kustomize cannot clone a repository.
    return {"HOME": folder, "TMPDIR": folder, "PATH": f"{folder}/bin", "LC_ALL": "C", "KUBECONFIG": os.devnull, "HELM_NO_PLUGINS": "1", **proxies}


def _limit_resources(process: subprocess.Popen[bytes], limits: ToolLimits) -> None:
    """Limit memory, and CPU time in case imgsync itself is killed."""
    set_limit = getattr(resource, "prlimit", None)  # only Linux has it
    if set_limit is None:
        return
    cpu_seconds = int(limits.seconds) * (os.cpu_count() or 1) + 1
    # It may have ended.
    with contextlib.suppress(ProcessLookupError):
        set_limit(process.pid, resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
        set_limit(process.pid, resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))


class _Guard:
    """Ends a process and its children, also at a signal."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Before the process starts, so that no signal can come between. Only the main thread may set handlers.
        if threading.current_thread() is threading.main_thread():
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


def _communicate(process: subprocess.Popen[bytes], limits: ToolLimits, name: str) -> tuple[bytes, bytes]:
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
        events = ready.poll(left * 1000) if left > 0 else ()
        if not events:
            raise _explain_timeout(name, limits)
        for pipe, _ in events:
            piece = os.read(pipe, _PIECE_BYTES)
            texts[pipe] += piece
            if not piece:
                ready.unregister(pipe)
                open_pipes.discard(pipe)
        # What follows is read and dropped.
        del complaint[_STDERR_BYTES:]
        if len(printed) > limits.output_bytes:
            raise ToolError(f"{name} printed more than {format_bytes(limits.output_bytes)} and was stopped", hint="discover its parts one at a time")
    return bytes(printed), bytes(complaint)


def _wait(process: subprocess.Popen[bytes], limits: ToolLimits, name: str) -> int:
    """Return the exit code of a process that has closed its output."""
    try:
        return process.wait(limits.seconds)
    except subprocess.TimeoutExpired as error:
        raise _explain_timeout(name, limits) from error


def _explain_timeout(name: str, limits: ToolLimits) -> ToolError:
    return ToolError(f"{name} did not end within {limits.seconds:g}s and was stopped", hint=f"run {name} by hand, and give imgsync what it prints")


def _explain_failure(name: str, code: int, stderr: str, limits: ToolLimits) -> ToolError:
    if "out of memory" in stderr or "cannot allocate memory" in stderr:
        return ToolError(f"{name} needed more than {format_bytes(limits.memory_bytes)} of memory and was stopped", hint="it may loop")
    ended = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return ToolError(f"{name} {ended}", stderr=stderr)


def clean_stderr(text: str) -> str:
    """Return an error in one line, without escape sequences and padding."""
    lines = [line.strip() for line in _ESCAPES.sub("", text).splitlines()]
    kept = [line for line in lines if line and not line.startswith(_PADDING)]
    said = "; ".join(kept[:_SHOWN_LINES]).removeprefix("Error: ").removeprefix("error: ")
    if len(said) > _SHOWN_CHARACTERS:
        # The cause is at the end.
        said = f"{said[: _SHOWN_CHARACTERS // 2]} … {said[-_SHOWN_CHARACTERS // 2 :]}"
    return sanitize_message(said, limit=2 * _SHOWN_CHARACTERS) or "no message"
