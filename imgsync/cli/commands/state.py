"""`imgsync state`: what is remembered of earlier applies, to look at and to forget. `state_travel` has the commands that move it."""

from __future__ import annotations

from dataclasses import asdict

import click

from imgsync.cli.options import output_option
from imgsync.cli.output import say_json
from imgsync.cli.state_options import lock_option, opened_state, registries_option, state_option
from imgsync.cli.state_transfer import export_records, import_records, pull_records, push_records, rebuild_records
from imgsync.text.sanitize import sanitize_line


@click.group("state")
def command() -> None:
    """Show, forget or move what is remembered: what was pushed, by destination reference."""


@command.command("list", short_help="List the destinations that are remembered.")
@click.argument("prefix", default="")
@state_option
@registries_option
@output_option("table", "json")
def list_records(prefix: str, state: str, registries: str | None, output: str) -> int:
    """List the destinations that are remembered, one per line; PREFIX narrows them."""
    with opened_state(state, registries, read_only=True) as store:
        records = list(store.iter_records(prefix))
    if output == "json":
        say_json([asdict(record) for record in records])
    else:
        for record in records:
            click.echo(sanitize_line(record.destination))
    return 0


@command.command("show", short_help="Show what is remembered of one.")
@click.argument("reference")
@state_option
@registries_option
@output_option("table", "json")
def show_record(reference: str, state: str, registries: str | None, output: str) -> int:
    """Show what is remembered of one destination REFERENCE."""
    from imgsync.errors import UsageError

    with opened_state(state, registries, read_only=True) as store:
        record = store.get(reference)
    if record is None:
        raise UsageError(f"nothing is remembered of {reference}", hint="imgsync state list shows what is")
    if output == "json":
        say_json(asdict(record))
    else:
        for name, value in asdict(record).items():
            click.echo(f"{name:<14} {sanitize_line(str(value))}")
    return 0


@command.command("remove", short_help="Forget destinations; globs are allowed.")
@click.argument("references", nargs=-1, required=True, metavar="REFERENCE...")
@state_option
@registries_option
@lock_option
def remove_records(references: tuple[str, ...], state: str, registries: str | None, lock_timeout: float) -> int:
    """Forget destinations; globs are allowed. The next plan asks their registries. Nothing is deleted there."""
    from imgsync.errors import StateError
    from imgsync.filters.globs import compile_glob

    globs = [compile_glob(reference) for reference in references]
    with opened_state(state, registries, read_only=False, lock_timeout=lock_timeout) as store:
        if not store.is_persistent:
            raise StateError(f"the state {state} cannot be written; nothing was forgotten")
        count = store.remove([record.destination for record in store.iter_records() if any(glob.fullmatch(record.destination) for glob in globs)])
    click.echo(f"Forgot {count} {'destination' if count == 1 else 'destinations'}.")
    return 0 if count else 1


for _command in (export_records, import_records, pull_records, push_records, rebuild_records):
    command.add_command(_command)
