"""Start the next run with a command, without a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import field

from imgsync.errors import RequeueError, UsageError
from imgsync.requeue.model import REQUEUED_VARIABLE, STARTING, NextRun
from imgsync.system.dataclass import dataclass

COMMAND_SECONDS = 60.0
_STDERR = 2
_KNOWN = "TARGET is `github`, `gitlab`, `travis`, an http(s) URL, or a command with its arguments"


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, which may contain secrets."""

    arguments: tuple[str, ...] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    @property
    def program(self) -> str:
        """Return the program, the only part that may be shown."""
        return self.arguments[0]


def parse_command(text: str, environ: Mapping[str, str]) -> Command:
    """
    Split *text* into words like a shell, without any expansion.

    Raises:
        UsageError: It is not a command, or its program was not found.
    """
    try:
        arguments = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"the command of --requeue cannot be split into words: {error}", hint="close its quotes") from error
    if not arguments or not arguments[0] or "\0" in text:
        raise UsageError("--requeue names no command", hint=_KNOWN)
    if shutil.which(arguments[0], path=environ.get("PATH")) is None:
        raise UsageError(f"--requeue names {arguments[0]!r}, which is not a service, and no such program was found", hint=_KNOWN)
    return Command(arguments, environ)


def run_command(command: Command, next_run: NextRun, *, timeout_seconds: float = COMMAND_SECONDS) -> None:
    """
    Run *command* and wait for it; exit code 0 is success.

    It has no terminal, and its output goes to stderr, since stdout is for the report. Processes that it leaves in the background
    continue. After *timeout_seconds* the command and all that it started are killed.

    Raises:
        RequeueError: It cannot be run, failed, or was killed.
    """
    where = f"with {command.program}"
    variables = {REQUEUED_VARIABLE: str(next_run.number), "IMGSYNC_REMAINING": str(next_run.remaining), "IMGSYNC_PLAN_ID": next_run.plan_id}
    try:
        code = _run(command.arguments, {**command.environ, **variables}, timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise RequeueError(
            STARTING,
            where,
            detail=f"it did not end within {timeout_seconds:g}s and was killed",
            hint="let it start the next run in the background instead of waiting for it",
        ) from error
    except OSError as error:
        raise RequeueError(STARTING, where, detail=f"it cannot be run: {error.strerror}", hint="run it by hand") from error
    if code != 0:
        ended = f"it failed with exit code {code}" if code > 0 else f"it was killed by signal {-code}"
        raise RequeueError(STARTING, where, detail=ended, hint="see its output above")


def _run(arguments: tuple[str, ...], environ: Mapping[str, str], timeout_seconds: float) -> int:
    """Return the exit code of *arguments*, negative for a signal."""
    with subprocess.Popen(  # noqa: S603 - without a shell; the operator gave the command
        arguments, env=dict(environ), stdin=subprocess.DEVNULL, stdout=_STDERR, stderr=_STDERR, start_new_session=True
    ) as process:
        try:
            return process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
