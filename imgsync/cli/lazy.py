"""Commands that are imported when they run, so that `--help` costs nothing but click."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands live in `imgsync.cli.commands.<name>`, dashes as underscores, each as `command`."""

    def __init__(self, *args: Any, commands_help: Mapping[str, str], **kwargs: Any) -> None:
        """Know the commands by name and one line of help."""
        super().__init__(*args, **kwargs)
        self._help = commands_help

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """Return the commands in the order people meet them."""
        return list(self._help)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's interface
        """Return the command, imported now."""
        if cmd_name not in self._help:
            return None
        found: click.Command = importlib.import_module(f"imgsync.cli.commands.{cmd_name.replace('-', '_')}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's interface
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._help.items()))
