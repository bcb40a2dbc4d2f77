"""`imgsync list`: list repositories or tags."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import click

from imgsync.cli.options import REGISTRIES_HELP, option, output_option, parse_common_options, run_options
from imgsync.cli.output import choose_layout, print_json, print_lines, print_note


@click.command("list")
@click.argument("what", metavar="REGISTRY[/NAMESPACE|/REPOSITORY]")
@option("--registries", metavar="FILE", help=REGISTRIES_HELP)
@output_option("table", "json")
@run_options
def command(what: str, output: str, **options: Any) -> int:
    """
    List the repositories of a registry or namespace, or a repository's tags.

    A name without a registry, such as nginx, is on Docker Hub. An OCI layout is
    oci-layout:NAME, as in registries.yaml, or oci-layout:PATH[:REPOSITORY].
    """
    common = replace(parse_common_options(options), state=None)
    from imgsync.cli.session import open_session
    from imgsync.cli.waiting import show_requests
    from imgsync.config.layout_names import is_layout_path
    from imgsync.config.load import load_registries
    from imgsync.plan.list_names import list_names

    settings, place, named = load_registries(common.registries, os.environ), what, ""
    if is_layout_path(what):
        # Imported now: most users list registries.
        from imgsync.config.layout_paths import parse_layout_place

        place, named, settings = parse_layout_place(what, settings)
    with open_session(settings, common, read_only=True) as session, show_requests(session, verb="Listing"):
        found = session.finish(lambda: list_names(place, session.registries, check=session.stop.raise_if_requested))
    if named and found.kind == "repositories":
        found = replace(found, names=tuple(f"{named}{name.partition('/')[2]}" for name in found.names))
    if output == "json":
        print_json({found.kind: list(found.names)})
    else:
        from imgsync.render.names import render_names
        from imgsync.text.units import format_count

        layout = choose_layout(sys.stdout)
        print_lines(render_names(found.names, layout))
        if layout.is_terminal:
            print_note(format_count(len(found.names), "tag") if found.kind == "tags" else format_count(len(found.names), "repository", "repositories"))
    return 0
