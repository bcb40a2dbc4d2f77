"""
Groups of commands.

A command is imported when it runs, so that `--help` needs only click.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class UnknownCommandError(click.UsageError):
    """A command that a group does not have."""

    def __init__(self, name: str, context: click.Context) -> None:
        """Name the command as it was typed."""
        super().__init__(f"unknown command '{name}'", context)
        self.name = name


class Group(click.Group):
    """A group that raises `UnknownCommandError` for unknown commands."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name of the command, the command and its arguments."""
        # An option in its place is left to click, which reports it as one.
        if not ctx.resilient_parsing and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise UnknownCommandError(args[0], ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a usage error names it."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            # click omits the command if an option has no value, or one that it does not take.
            if error.ctx is None and command is not None:
                error.ctx = click.Context(command, info_name=ctx.invoked_subcommand, parent=ctx)
            raise


class LazyGroup(Group):
    """
    A group of commands, each in a module of `imgsync.cli.commands`.

    The module has the name of the command, with underscores for dashes, and calls it `command`.
    """

    def __init__(self, *args: Any, commands_help: Mapping[str, str], **kwargs: Any) -> None:
        """Set the commands, each with a line of help."""
        super().__init__(*args, **kwargs)
        self._help = commands_help

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """Return the commands in the order in which they are first used."""
        return list(self._help)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's interface
        """Import the command and return it."""
        if cmd_name not in self._help:
            return None
        found: click.Command = importlib.import_module(f"imgsync.cli.commands.{cmd_name.replace('-', '_')}").command
        return found

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, without importing them, and options."""
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(name, help=text) for name, text in self._help.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's interface
        """Write the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._help.items()))
