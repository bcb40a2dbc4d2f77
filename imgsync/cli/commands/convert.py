"""`imgsync convert`: convert the configuration of another tool."""

from __future__ import annotations

import click

from imgsync.cli.options import option
from imgsync.cli.output import get_redaction, print_line

_FORMATS = ("regsync", "skopeo-sync", "image-syncer", "dregsy")


@click.command("convert")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@option("--from", "source_format", type=click.Choice(_FORMATS), default=None, help="The format of FILE. Default: detected from its content.")
@option("--destination", metavar="REGISTRY/NAMESPACE", default="", help="The destination, for `skopeo sync`, whose files do not name one.")
@option("--scoped", is_flag=True, help="Keep the full source path below the destination, like `skopeo sync --scoped`.")
# Not with `option`: IMGSYNC_OUTPUT is the format (table, json) of other commands.
@click.option(
    "--output",
    envvar="IMGSYNC_CONVERT_OUTPUT",
    metavar="DIR",
    default=None,
    help="Write DIR/mirrors.d/FORMAT.yaml and DIR/registries.yaml; existing files are never overwritten.",
)
def command(files: tuple[str, ...], source_format: str | None, destination: str, scoped: bool, output: str | None) -> int:
    """
    Convert a file of regsync, skopeo sync, image-syncer or dregsy to mirrors.d.

    FILE is one file; for image-syncer it may be two, logins and images, in any order. Lines that cannot be converted are listed on
    stderr. An invalid file is an error: no output, exit code 3. Credentials are never copied: registries.yaml names variables instead.
    """
    from imgsync.convert.conversion import ConvertOptions
    from imgsync.convert.convert_files import convert_files
    from imgsync.convert.format_yaml import format_mirrors, format_registries
    from imgsync.convert.write_files import write_files
    from imgsync.text.sanitize import sanitize_short
    from imgsync.text.units import format_count

    found = convert_files(files, source_format=source_format or "", options=ConvertOptions(destination, scoped))
    written = write_files(found, output) if output is not None else ()
    for remark in found.remarks:
        click.echo(get_redaction().clean(sanitize_short(str(remark))), err=True)
    registries = format_registries(found)
    if written:
        for path in written:
            print_line(path)
    else:
        click.echo(format_mirrors(found), nl=False)
        if registries:
            click.echo(f"registries.yaml must contain (--output DIR writes it):\n{registries}", nl=False, err=True)
    if found.lost_lines:
        click.echo(f"{format_count(found.lost_lines, 'line')} not carried over, see above.", err=True)
    return 0
