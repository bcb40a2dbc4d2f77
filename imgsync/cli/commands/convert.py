"""`imgsync convert`: convert the configuration of another tool."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from imgsync.cli.options import complete_by, option
from imgsync.cli.output import print_line, print_note, print_text
from imgsync.errors import UsageError

if TYPE_CHECKING:
    from imgsync.convert.conversion import Conversion

_FORMATS = ("regsync", "skopeo-sync", "image-syncer", "dregsy", "harbor")


@click.command("convert")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=complete_by("complete_file"))
@option("--from", "source_format", type=click.Choice(_FORMATS), default=None, help="The format of FILE. Default: detected from its content.")
@option("--destination", metavar="REGISTRY/NAMESPACE", default="", help="The destination, for `skopeo sync`, whose files do not name one.")
@option("--scoped", is_flag=True, help="Keep the full source path below the destination, like `skopeo sync --scoped`.")
# Not with `option`: one variable cannot hold several.
@click.option("--set", "variables", metavar="NAME=VALUE", multiple=True, help="A variable of the file, before the environment; repeatable.")
# Not with `option`: IMGSYNC_OUTPUT is the format (table, json) of other commands.
@click.option(
    "--output",
    envvar="IMGSYNC_CONVERT_OUTPUT",
    metavar="DIR",
    default=None,
    help="Write DIR/mirrors.d/FORMAT.yaml and DIR/registries.yaml; existing files are never overwritten.",
)
def command(files: tuple[str, ...], source_format: str | None, destination: str, scoped: bool, variables: tuple[str, ...], output: str | None) -> int:
    """
    Convert files of regsync, skopeo sync, image-syncer, dregsy or Harbor.

    FILE is one file or several of one format; `-` is stdin. Lines that cannot be converted are listed on stderr. An invalid file is an error:
    no output, exit code 3. Credentials are never copied: registries.yaml names variables instead.
    """
    from imgsync.convert.conversion import ConvertOptions
    from imgsync.convert.convert_files import convert_files
    from imgsync.convert.write_files import list_names, write_files
    from imgsync.text.units import format_count

    options = ConvertOptions(destination, scoped, _read_variables(variables))
    taken = list_names(output) if output is not None else frozenset()
    found = convert_files(files, source_format=source_format or "", options=options, taken_names=taken)
    written = write_files(found, output) if output is not None else ()
    _print_remarks(found)
    for path in written:
        print_line(path)
    if not written:
        _print_result(found)
    print_note(
        f"{format_count(len(found.mirrors), 'mirror')} converted from {found.format}; review {'them' if len(found.mirrors) > 1 else 'it'} with `imgsync plan`."
    )
    if found.lost_lines:
        print_note(f"{format_count(found.lost_lines, 'line')} not carried over, see above.")
    return 0


def _read_variables(texts: tuple[str, ...]) -> Mapping[str, str]:
    given = dict(text.partition("=")[::2] for text in texts)
    if not all(given) or not all("=" in text for text in texts):
        raise UsageError("--set needs NAME=VALUE", hint="for example --set MY_REGISTRY=registry.internal")
    return {**os.environ, **given}


def _print_remarks(found: Conversion) -> None:
    from imgsync.convert.group_remarks import group_remarks
    from imgsync.text.sanitize import sanitize_short

    for text in group_remarks(found.remarks):
        print_note(sanitize_short(text))


def _print_result(found: Conversion) -> None:
    from imgsync.convert.format_yaml import format_mirror_files, format_registries

    files, registries = format_mirror_files(found), format_registries(found)
    print_text("---\n".join(files.values()))
    if len(files) > 1:
        print_note(f"stdout has {len(files)} documents, and together they exceed the limits of one file: --output DIR writes a file for each.")
    if registries:
        print_note(f"registries.yaml must contain (--output DIR writes it):\n{registries}".removesuffix("\n"))
