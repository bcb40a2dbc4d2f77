"""Who starts the next run: read from `--requeue TARGET` before anything is copied, asked once work is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from imgsync.requeue.ci_services import SERVICES, webhook
from imgsync.requeue.command import Command, parse_command, run_command
from imgsync.requeue.loop_guard import requeues_so_far
from imgsync.requeue.model import NextRun
from imgsync.requeue.proxy import proxy_for
from imgsync.requeue.trigger import Post, send


@dataclass(frozen=True, slots=True)
class Target:
    """What starts the next run; `name` may be shown, `secrets` are what must not."""

    name: str
    action: Post | Command = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return every secret that takes part; a command's are its own."""
        return self.action.secrets if isinstance(self.action, Post) else ()


def parse_target(text: str, environ: Mapping[str, str]) -> Target:
    """
    Return the target that *text* names, with all it needs from the environment: what is missing is told now, not when the run is over.

    Raises:
        UsageError: It is no target, a variable that it needs is missing or senseless (IMGSYNC_REQUEUED too), or a secret would go out in the open.
    """
    text = text.strip()
    requeues_so_far(environ, 0)
    if text in SERVICES:
        return Target(text, proxy_for(SERVICES[text](environ), environ))
    if "://" in text.partition(" ")[0]:
        action = proxy_for(webhook(text, environ), environ)
        return Target(urlsplit(action.where).netloc, action)
    command = parse_command(text, environ)
    return Target(command.program, command)


def start_next(target: Target, next_run: NextRun, *, on_secret: Callable[[Iterable[str]], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """
    Have *target* start the next run; *on_secret* hears of every token before it is used, *sleep* waits between tries.

    Raises:
        RequeueError: It was not started, or nobody can say.
    """
    on_secret(target.secrets)
    if isinstance(target.action, Command):
        run_command(target.action, next_run)
    else:
        send(target.action, next_run, sleep=sleep)
