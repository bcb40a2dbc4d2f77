"""`imgsync fmt`: give declarations one layout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from imgsync.cli.options import option, paths_argument
from imgsync.cli.output import print_line, print_note, print_text

if TYPE_CHECKING:
    from imgsync.fmt.format_files import FormattedFile


@click.command("fmt")
@paths_argument
@option("--check", is_flag=True, help="Write nothing; exit 1 and name the files that need another layout.")
@option("--diff", is_flag=True, help="As --check, but print what would change.")
def command(paths: tuple[str, ...], check: bool, diff: bool) -> int:
    """
    Give the files of mirrors.d one layout: key order, indentation, quotes.

    Comments, anchors and the meaning stay. Prints the files that were changed. A file with an error is reported, and nothing is written.
    registries.yaml is left as it is. `-` formats stdin to stdout.
    """
    from imgsync.fmt.format_files import format_files
    from imgsync.text.sanitize import sanitize_line
    from imgsync.text.units import format_count

    is_stdin = "-" in paths
    if is_stdin and not check and not diff:
        print_text(_read_stdin(paths).text or "")
        return 0
    given = (_read_stdin(paths),) if is_stdin else format_files(paths)
    files = [file for file in given if file.text is not None]
    for file in given:
        if file.text is None:
            print_note(f"{sanitize_line(file.path)} holds registry settings, which `fmt` leaves as they are.")
    if not files:
        return 0
    changed = [file for file in files if file.is_changed]
    for file in changed:
        if diff:
            print_text("".join(f"{sanitize_line(line)}\n" for line in file.diff()))
        else:
            print_line(sanitize_line(file.path))
        if not check and not diff:
            file.write()
    if check or diff:
        print_note(f"{len(changed)} of {format_count(len(files), 'file')} would be changed." if changed else f"{format_count(len(files), 'file')}: all good.")
        return 1 if changed else 0
    print_note(f"{len(changed)} of {format_count(len(files), 'file')} changed.")
    return 0


def _read_stdin(paths: tuple[str, ...]) -> FormattedFile:
    from imgsync.errors import UsageError
    from imgsync.fmt.format_files import FormattedFile
    from imgsync.fmt.format_text import format_text

    if len(paths) > 1:
        raise UsageError("`-` is stdin, so it must be the only PATH")
    data = sys.stdin.buffer.read((1 << 20) + 1)
    return FormattedFile("stdin", data, format_text(data, file="stdin"))
