"""`imgsync state`: inspect and edit the state."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.groups import Group
from imgsync.cli.options import output_option, parse_common_options
from imgsync.cli.output import choose_layout, print_json, print_line, print_lines
from imgsync.cli.state_options import lock_option, open_store, registries_option, state_option
from imgsync.cli.state_transfer import export_state, import_state, pull_state, push_state, rebuild_from_destinations
from imgsync.text.sanitize import sanitize_line

if TYPE_CHECKING:
    from imgsync.state import Record


@click.group("state", cls=Group)
def command() -> None:
    """Inspect, edit, move or rebuild the record of pushed images."""


@command.command("list", short_help="List the recorded destinations.")
@click.argument("prefix", default="")
@state_option
@registries_option
@output_option("table", "json")
def list_records(prefix: str, output: str, **options: Any) -> int:
    """List the recorded destinations that begin with PREFIX, one per line."""
    with open_store(parse_common_options(options), read_only=True) as store:
        records = list(store.iter_records(prefix))
        gone = store.gone_since
    if output == "json":
        print_json([_make_document(record, gone) for record in records])
    else:
        from imgsync.render.names import render_references

        print_lines(render_references([record.destination for record in records], choose_layout(sys.stdout)))
    return 0


@command.command("show", short_help="Show the record of a destination.")
@click.argument("reference")
@state_option
@registries_option
@output_option("table", "json")
def show_record(reference: str, output: str, **options: Any) -> int:
    """Show the record of the destination REFERENCE."""
    from imgsync.errors import UsageError

    with open_store(parse_common_options(options), read_only=True) as store:
        record, gone = store.get(reference), store.gone_since
    if record is None:
        raise UsageError(f"the state has no record of {reference}", hint="`imgsync state list` lists the recorded destinations")
    if output == "json":
        print_json(_make_document(record, gone))
    else:
        for name, value in _make_document(record, gone).items():
            print_line(f"{name:<14} {sanitize_line(str(value))}")
    return 0


@command.command("remove", short_help="Remove records; globs are allowed.")
@click.argument("references", nargs=-1, required=True, metavar="REFERENCE...")
@state_option
@registries_option
@lock_option
def remove_records(references: tuple[str, ...], **options: Any) -> int:
    """
    Remove the records of destinations; globs are allowed.

    Nothing is deleted at the destinations. The next plan asks them again.
    """
    from imgsync.errors import StateError
    from imgsync.filters.globs import compile_glob
    from imgsync.text.units import format_count

    common = parse_common_options(options)
    globs = [compile_glob(reference) for reference in references]
    with open_store(common, read_only=False) as store:
        if not store.is_persistent:
            raise StateError(f"the state {common.state} cannot be written; nothing was removed")
        count = store.remove([record.destination for record in store.iter_records() if any(glob.fullmatch(record.destination) for glob in globs)])
    print_line(f"Removed {format_count(count, 'record')}.")
    return 0 if count else 1


def _make_document(record: Record, gone_since: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of *record*, with `gone_since` if it is gone."""
    since = gone_since.get(record.destination)
    return asdict(record) | ({"gone_since": since} if since else {})


for _command in (export_state, import_state, pull_state, push_state, rebuild_from_destinations):
    command.add_command(_command)
