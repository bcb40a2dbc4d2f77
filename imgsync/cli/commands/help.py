"""`imgsync help`: show the help of a command."""

from __future__ import annotations

import click

from imgsync.cli.options import complete_by
from imgsync.cli.output import print_line


@click.command("help")
@click.argument("names", nargs=-1, metavar="[COMMAND]...", shell_complete=complete_by("complete_command"))
def command(names: tuple[str, ...]) -> int:
    """Show the help of imgsync or of COMMAND, such as `state list`."""
    context = click.get_current_context().find_root()
    for name in names:
        if not isinstance(context.command, click.Group):
            raise click.UsageError(f"`{context.command_path}` has no commands", context)
        _, found, _ = context.command.resolve_command(context, [name])
        assert found is not None  # noqa: S101 - an unknown command raises an error
        context = click.Context(found, info_name=name, parent=context)
    print_line(context.get_help())
    return 0
