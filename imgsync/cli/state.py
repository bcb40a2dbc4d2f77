"""`imgsync state`: what is remembered of earlier applies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from imgsync.cli.options import Duration, option, output_option
from imgsync.cli.output import say_json

if TYPE_CHECKING:
    from imgsync.state import StateStore

_state_option = option("--state", metavar="DIR", default=".imgsync/state", show_default=True, help="Where is remembered what was pushed.")


@click.group("state")
def command() -> None:
    """Show or forget what is remembered: what was pushed, by destination reference."""


@command.command("list")
@click.argument("prefix", default="")
@_state_option
@output_option("table", "json")
def list_records(prefix: str, state: str, output: str) -> int:
    """List the destinations that are remembered, one per line; PREFIX narrows them."""
    with _opened(state, read_only=True) as store:
        records = list(store.records(prefix))
    if output == "json":
        say_json([asdict(record) for record in records])
    else:
        for record in records:
            click.echo(record.destination)
    return 0


@command.command("show")
@click.argument("reference")
@_state_option
@output_option("table", "json")
def show_record(reference: str, state: str, output: str) -> int:
    """Show what is remembered of one destination REFERENCE."""
    from imgsync.errors import UsageError

    with _opened(state, read_only=True) as store:
        record = store.record(reference)
    if record is None:
        raise UsageError(f"nothing is remembered of {reference}", hint="imgsync state list shows what is")
    if output == "json":
        say_json(asdict(record))
    else:
        for name, value in asdict(record).items():
            click.echo(f"{name:<14} {value}")
    return 0


@command.command("remove")
@click.argument("references", nargs=-1, required=True, metavar="REFERENCE...")
@_state_option
@option("--lock-timeout", type=Duration(), default="0s", show_default=True, help="How long to wait for another run's lock on the state.")
def remove_records(references: tuple[str, ...], state: str, lock_timeout: float) -> int:
    """Forget destinations; globs are allowed. The next plan asks their registries. Nothing is deleted there."""
    from imgsync.errors import StateError
    from imgsync.globs import compile_glob

    globs = [compile_glob(reference) for reference in references]
    with _opened(state, read_only=False, lock_timeout=lock_timeout) as store:
        if not store.lasting:
            raise StateError(f"the state {state} cannot be written; nothing was forgotten")
        count = store.remove([record.destination for record in store.records() if any(glob.fullmatch(record.destination) for glob in globs)])
    click.echo(f"Forgot {count} {'destination' if count == 1 else 'destinations'}.")
    return 0 if count else 1


@contextmanager
def _opened(state: str, *, read_only: bool, lock_timeout: float = 0.0) -> Iterator[StateStore]:
    from imgsync.concurrency import NativeThread
    from imgsync.state import open_state

    thread = NativeThread()
    try:
        with open_state(
            state, thread=thread, lock_timeout_seconds=lock_timeout, on_warning=lambda text: click.echo(f"warning: {text}", err=True), read_only=read_only
        ) as store:
            yield store
    finally:
        thread.close()
