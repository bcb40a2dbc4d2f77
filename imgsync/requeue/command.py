"""The next run started by a command of the user's own: never by a shell, and not for longer than a minute."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from imgsync.errors import RequeueError, UsageError
from imgsync.requeue.model import REQUEUED_VARIABLE, STARTING, NextRun

COMMAND_SECONDS = 60.0
_STDERR = 2
_KNOWN = "TARGET is `github`, `gitlab`, `travis`, an http(s) URL, or a command with its arguments"


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, which may hold secrets, and the environment it gets beside what it is told of the next run."""

    arguments: tuple[str, ...] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    @property
    def program(self) -> str:
        """Return the program's name: all that is shown of the command."""
        return self.arguments[0]


def parse_command(text: str, environ: Mapping[str, str]) -> Command:
    """
    Return the command that *text* is, split as a shell would, with nothing in it expanded.

    Raises:
        UsageError: It is none, or its program is not there.
    """
    try:
        arguments = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"the command of --requeue cannot be split into words: {error}", hint="close its quotes") from error
    if not arguments or not arguments[0] or "\0" in text:
        raise UsageError("--requeue names nothing that could start the next run", hint=_KNOWN)
    if shutil.which(arguments[0], path=environ.get("PATH")) is None:
        raise UsageError(f"--requeue names {arguments[0]!r}, which is no service and no program to be found", hint=_KNOWN)
    return Command(arguments, environ)


def run_command(command: Command, next_run: NextRun, *, timeout_seconds: float = COMMAND_SECONDS) -> None:
    """
    Run *command* to its end; 0 is success.

    It gets no terminal; what it prints goes to our stderr, since stdout is for the report. What it leaves running in the background lives on,
    unless it takes longer than *timeout_seconds*: then all that it started is ended.

    Raises:
        RequeueError: It cannot be run, failed, or was ended.
    """
    where = f"with {command.program}"
    told = {REQUEUED_VARIABLE: str(next_run.number), "IMGSYNC_REMAINING": str(next_run.remaining), "IMGSYNC_PLAN_ID": next_run.plan_id}
    try:
        code = _run(command.arguments, {**command.environ, **told}, timeout_seconds)
    except subprocess.TimeoutExpired as error:
        raise RequeueError(
            STARTING,
            where,
            detail=f"it did not end within {timeout_seconds:g}s, and was ended",
            hint="let it start the next run in the background, and not wait for it",
        ) from error
    except OSError as error:
        raise RequeueError(STARTING, where, detail=f"it cannot be run: {error.strerror}", hint="run it by hand") from error
    if code != 0:
        ended = f"it failed with exit code {code}" if code > 0 else f"it was ended by signal {-code}"
        raise RequeueError(STARTING, where, detail=ended, hint="what it printed stands above")


def _run(arguments: tuple[str, ...], environ: Mapping[str, str], timeout_seconds: float) -> int:
    """Run *arguments* in a session of their own; return the exit code, negative for a signal."""
    with subprocess.Popen(  # noqa: S603 - no shell; the command is the operator's, as it stands on the command line
        arguments, env=dict(environ), stdin=subprocess.DEVNULL, stdout=_STDERR, stderr=_STDERR, start_new_session=True
    ) as process:
        try:
            return process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
