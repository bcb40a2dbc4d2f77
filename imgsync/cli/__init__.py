"""The command line: one file per command. The only room that prints, and the one that decides exit codes."""

from __future__ import annotations

import sys
import traceback

import click

import imgsync
from imgsync.cli.lazy import LazyGroup
from imgsync.system.stdio import redirect_to_null
from imgsync.text.redaction import Redaction

_COMMANDS = {
    "validate": "Check everything that needs no network.",
    "login-check": "Tell who we are at each registry, and what we may do there.",
    "plan": "Show what would change; change nothing.",
    "apply": "Make the destinations serve what is declared.",
    "show": "Print a saved plan or report again.",
    "verify": "Ask whether the destinations really serve what is declared.",
    "copy": "Copy one image or one repository, no file needed.",
    "list": "List repositories or tags, to find out what to declare.",
    "state": "Show, forget, carry or rebuild what is remembered.",
    "init": "Make a new mirror repository, CI included.",
    "schema": "Print a JSON schema of the configuration.",
    "convert": "Turn the file of another tool into mirrors.d.",
    "demo": "Show the main job on two registries of our own.",
}
_BUG_EXIT = 70
_USAGE_EXIT = 3


@click.group(cls=LazyGroup, commands_help=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(imgsync.__version__, prog_name="imgsync")
def cli() -> None:
    """
    Mirror container images as declared in YAML: plan, review, apply.

    PATH... is a folder or files, mirrors.d if left out. Exit codes: 0 done, 1 something failed or was refused, 2 changes are
    pending (plan --detailed-exitcode), 3 invalid configuration or usage, 70 a bug, 75 stopped with work left: run it again.
    """


def run(argv: list[str]) -> int:
    """Run the command line *argv* and return its exit code (design.md §3)."""
    redaction = Redaction()
    try:
        result = cli.main(argv, prog_name="imgsync", standalone_mode=False, obj=redaction)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return _USAGE_EXIT
    except click.ClickException as error:
        return _told(f"error: {error.format_message()}", hint="imgsync --help lists commands and options")
    except click.Abort:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough: no more of it, and no complaint at exit.
        redirect_to_null(sys.stdout)
        return 0
    except Exception as error:  # noqa: BLE001 - the last place: what is not ours is a bug, told as one
        return _failed(error, redaction)
    return result if isinstance(result, int) else 0


def _told(message: str, *, hint: str = "") -> int:
    click.echo(message, err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return _USAGE_EXIT


def _failed(error: Exception, redaction: Redaction) -> int:
    from imgsync.errors import ConfigError, ImgsyncError
    from imgsync.text.sanitize import sanitize_lines, sanitize_short

    if isinstance(error, ConfigError):
        from imgsync.cli.config_errors import print_config_errors

        print_config_errors(error.errors)
        return error.exit_code
    if isinstance(error, ImgsyncError):
        _told(f"error: {sanitize_short(redaction.clean(error.message))}", hint=sanitize_short(redaction.clean(error.hint)))
        return error.exit_code
    click.echo(sanitize_lines(redaction.clean("".join(traceback.format_exception(error)))), err=True, nl=False)
    click.echo("This is a bug in imgsync; please report it with the lines above.", err=True)
    return _BUG_EXIT
