"""What the commands of `imgsync state` share: their options, and the state that these name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import DEFAULT_STATE, Common, Duration, option

if TYPE_CHECKING:
    from imgsync.cli.session import Session
    from imgsync.state import StateStore

state_option = option(
    "--state", metavar="DIR|oci://REF", default=DEFAULT_STATE, show_default=True, help="Where is remembered what was pushed: a directory, or HOST/REPO:TAG."
)
directory_option = option("--state", metavar="DIR", default=DEFAULT_STATE, show_default=True, help="The directory in which is remembered what was pushed.")
registries_option = option("--registries", metavar="FILE", help="The trust: how registries are reached. Default: registries.yaml, if there is one.")
lock_option = option("--lock-timeout", type=Duration(), default="0s", show_default=True, help="How long to wait for another run's lock on the state.")


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the log on stderr."""
    for add in (
        option("--log-format", type=click.Choice(["auto", "json", "console"]), default="auto", show_default=True, help="How the log on stderr is written."),
        option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default=None, help="What the log on stderr tells."),
    ):
        function = add(function)
    return function


@contextmanager
def opened_state(state: str, registries: str | None, *, read_only: bool, lock_timeout: float = 0.0) -> Iterator[StateStore]:
    """Give the *state*, of a directory or of a registry that *registries* tells how to reach."""
    from imgsync.state.remote.reference import is_remote

    if is_remote(state):
        with opened_session(state, registries, read_only=read_only, lock_timeout=lock_timeout) as session:
            yield session.state
        return
    from imgsync.concurrency.native_thread import NativeThread
    from imgsync.state import open_state

    thread = NativeThread()
    try:
        with open_state(
            state, thread=thread, lock_timeout_seconds=lock_timeout, on_warning=lambda text: click.echo(f"warning: {text}", err=True), read_only=read_only
        ) as store:
            yield store
    finally:
        thread.close()


@contextmanager
def opened_session(
    state: str, registries: str | None, *, read_only: bool, lock_timeout: float, log_level: str | None = None, log_format: str = "auto"
) -> Iterator[Session]:
    """Give a session with no configuration but the trust."""
    from imgsync.cli.session import open_session
    from imgsync.config.load import load_registries

    common = Common(registries, state, lock_timeout, log_level, log_format, progress=False, run_seconds=None)
    with open_session(load_registries(registries, os.environ), common, read_only=read_only) as session:
        yield session
