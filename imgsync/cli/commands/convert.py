"""`imgsync convert`: the files of other tools become ours."""

from __future__ import annotations

import click

from imgsync.cli.options import option
from imgsync.cli.output import redaction, say

_FORMATS = ("regsync", "skopeo-sync", "image-syncer", "dregsy")


@click.command("convert")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@option("--from", "source_format", type=click.Choice(_FORMATS), default=None, help="The format of FILE. Default: told from what stands in it.")
@option("--destination", metavar="REGISTRY/NAMESPACE", default="", help="Where to: for `skopeo sync`, whose files do not say it.")
@option("--scoped", is_flag=True, help="Whole source paths below the destination, as `skopeo sync --scoped` has them.")
# Not by `option`: IMGSYNC_OUTPUT is the form (table, json) of what other commands print.
@click.option(
    "--output",
    envvar="IMGSYNC_CONVERT_OUTPUT",
    metavar="DIR",
    default=None,
    help="Write DIR/mirrors.d/FORMAT.yaml and DIR/registries.yaml, never over an existing file.",
)
def command(files: tuple[str, ...], source_format: str | None, destination: str, scoped: bool, output: str | None) -> int:
    """
    Turn a file of regsync, skopeo sync, image-syncer or dregsy into mirrors.d.

    FILE is one file; of image-syncer also the two that belong together, logins and images, in any order. What cannot be carried over
    is said on stderr, line by line. A file that is not understood gives faults, no output, and exit code 3.
    Credentials are never copied: registries.yaml names variables instead.
    """
    from imgsync.convert.formats import convert_files
    from imgsync.convert.model import Options
    from imgsync.convert.output import write_files
    from imgsync.convert.writer import mirrors_text, registries_text
    from imgsync.text.sanitize import sanitize_short

    found = convert_files(files, source_format=source_format or "", options=Options(destination, scoped))
    written = write_files(found, output) if output is not None else ()
    for remark in found.remarks:
        click.echo(redaction().clean(sanitize_short(str(remark))), err=True)
    registries = registries_text(found)
    if written:
        for path in written:
            say(path)
    else:
        click.echo(mirrors_text(found), nl=False)
        if registries:
            click.echo(f"registries.yaml has to hold (--output DIR writes it):\n{registries}", nl=False, err=True)
    if found.lost:
        click.echo(f"{found.lost} {'line is' if found.lost == 1 else 'lines are'} not carried over, as said above.", err=True)
    return 0
