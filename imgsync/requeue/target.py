"""The target of `--requeue`: a service, a webhook or a command."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from urllib.parse import urlsplit

from imgsync.requeue.ci_services import SERVICES, make_webhook_post
from imgsync.requeue.command import Command, parse_command, run_command
from imgsync.requeue.loop_guard import count_requeues
from imgsync.requeue.model import NextRun
from imgsync.requeue.proxy import add_proxy
from imgsync.requeue.trigger import Post, send
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What starts the next run; only its `name` may be shown."""

    name: str
    action: Post | Command = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secrets of the request."""
        return self.action.secrets if isinstance(self.action, Post) else ()


def parse_target(text: str, environ: Mapping[str, str]) -> Target:
    """
    Return the target that *text* names.

    Called before anything is copied, so that an error does not surface at the end of the run.

    Raises:
        UsageError: The target is unknown, a variable is missing or invalid (IMGSYNC_REQUEUED too), or a secret would be sent unencrypted.
    """
    text = text.strip()
    count_requeues(environ, 0)
    if text in SERVICES:
        return Target(text, add_proxy(SERVICES[text](environ), environ))
    if "://" in text.partition(" ")[0]:
        action = add_proxy(make_webhook_post(text, environ), environ)
        return Target(urlsplit(action.where).netloc, action)
    command = parse_command(text, environ)
    return Target(command.program, command)


def start_next(target: Target, next_run: NextRun, *, on_secret: Callable[[Iterable[str]], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """
    Start *next_run* with *target*.

    Args:
        target: From `parse_target`.
        next_run: What the run is given.
        on_secret: Receives the secrets before they are used.
        sleep: Waits between attempts.

    Raises:
        RequeueError: It was not started, or it is unknown whether it was.
    """
    on_secret(target.secrets)
    if isinstance(target.action, Command):
        run_command(target.action, next_run)
    else:
        send(target.action, next_run, sleep=sleep)
