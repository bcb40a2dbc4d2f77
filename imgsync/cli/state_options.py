"""Options of the `imgsync state` commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from imgsync.cli.options import DEFAULT_STATE, LOCK_TIMEOUT_HELP, REGISTRIES_HELP, RUN_TIMEOUT_HELP, STATE_HELP, CommonOptions, Duration, option
from imgsync.cli.output import print_note

if TYPE_CHECKING:
    from imgsync.cli.session import Session
    from imgsync.state import StateStore

state_option = option("--state", metavar="DIR|oci://REF", default=DEFAULT_STATE, show_default=True, help=STATE_HELP)
directory_option = option("--state", metavar="DIR", default=DEFAULT_STATE, show_default=True, help="The directory with the record of pushed images.")
registries_option = option("--registries", metavar="FILE", help=REGISTRIES_HELP)
run_timeout_option = option("--run-timeout", type=Duration(), default=None, help=RUN_TIMEOUT_HELP)
lock_option = option("--lock-timeout", type=Duration(), default="0s", show_default=True, help=LOCK_TIMEOUT_HELP)


def log_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the log on stderr."""
    for add in (
        option("--log-format", type=click.Choice(["auto", "json", "console"]), default="auto", show_default=True, help="Format of the log on stderr."),
        option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default=None, help="Lowest level of the log on stderr."),
    ):
        function = add(function)
    return function


@contextmanager
def open_store(common: CommonOptions, *, read_only: bool) -> Iterator[StateStore]:
    """Open the state of *common*, in a directory or a registry."""
    from imgsync.state.remote.reference import is_remote

    location = common.state or ""
    if is_remote(location):
        with open_state_session(common, read_only=read_only) as session:
            yield session.state
        return
    from imgsync.concurrency.native_thread import NativeThread
    from imgsync.state import open_state

    thread = NativeThread()
    try:
        with open_state(
            location,
            thread=thread,
            lock_timeout_seconds=common.lock_timeout_seconds,
            on_warning=_print_warning,
            read_only=read_only,
            on_unreadable=_refuse_unreadable,
        ) as store:
            yield store
    finally:
        thread.close()


@contextmanager
def open_state_session(common: CommonOptions, *, read_only: bool) -> Iterator[Session]:
    """Open a session with registry settings, but without mirrors."""
    from imgsync.cli.session import open_session
    from imgsync.config.load import load_registries

    with open_session(load_registries(common.registries, os.environ), common, read_only=read_only) as session:
        yield session


def _refuse_unreadable(reason: str) -> NoReturn:
    from imgsync.errors import StateError

    # An empty list with exit code 0 would look like a state without records.
    raise StateError(reason, hint="the next apply moves it aside and asks the destinations; --state names another")


def _print_warning(text: str) -> None:
    print_note(f"warning: {text}")
