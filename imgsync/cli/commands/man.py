"""`imgsync man`: print the manual page."""

from __future__ import annotations

import click

from imgsync.cli.output import print_text


@click.command("man")
def command() -> int:
    """
    Print the manual page, made from the help of every command.

    `man imgsync` shows it where the package is installed; elsewhere: imgsync man | man -l -
    """
    from imgsync.cli.man_page import render_man_page

    print_text(render_man_page(click.get_current_context().find_root().command))
    return 0
