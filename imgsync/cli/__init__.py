"""The command line: the only package that prints."""

from __future__ import annotations

import sys
import traceback

import click

import imgsync
from imgsync.cli.lazy import LazyGroup
from imgsync.system.stdio import redirect_to_null
from imgsync.text.redaction import Redaction

_COMMANDS = {
    "validate": "Check the configuration, without a network.",
    "login-check": "Check credentials and permissions at each registry.",
    "plan": "Show what would change, without changing anything.",
    "apply": "Copy missing and outdated images to the destinations.",
    "show": "Print a saved plan or report.",
    "verify": "Check that the destinations serve what is declared.",
    "copy": "Copy one image or repository, without a configuration.",
    "list": "List the repositories or tags of a registry.",
    "state": "Inspect, edit, move or rebuild the state.",
    "init": "Create a mirror repository, CI included.",
    "schema": "Print the JSON schema of the configuration.",
    "convert": "Convert the configuration of another tool.",
    "demo": "Run a demo on two built-in registries.",
}
_BUG_EXIT = 70
_USAGE_EXIT = 3


@click.group(cls=LazyGroup, commands_help=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(imgsync.__version__, prog_name="imgsync")
def cli() -> None:
    """
    Mirror container images as declared in YAML: plan, review, apply.

    PATH... is a folder or files; the default is mirrors.d. Exit codes: 0 done, 1 something failed or was refused, 2 changes are
    pending (plan --detailed-exitcode), 3 invalid configuration or usage, 70 a bug, 75 stopped with work left: run it again.
    """


def run(argv: list[str]) -> int:
    """Run the command line *argv* and return its exit code."""
    redaction = Redaction()
    try:
        result = cli.main(argv, prog_name="imgsync", standalone_mode=False, obj=redaction)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return _USAGE_EXIT
    except click.ClickException as error:
        _print_message(f"error: {error.format_message()}", hint="imgsync --help lists commands and options")
        return _USAGE_EXIT
    except click.Abort:
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe: stop without an error.
        redirect_to_null(sys.stdout)
        return 0
    except Exception as error:  # noqa: BLE001 - the outermost handler: any other exception is a bug
        return _print_error(error, redaction)
    return result if isinstance(result, int) else 0


def _print_message(message: str, *, hint: str) -> None:
    click.echo(message, err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def _print_error(error: Exception, redaction: Redaction) -> int:
    from imgsync.errors import ConfigError, ImgsyncError
    from imgsync.text.sanitize import sanitize_lines, sanitize_short

    if isinstance(error, ConfigError):
        from imgsync.cli.config_errors import print_config_errors

        print_config_errors(error.errors)
        return error.exit_code
    if isinstance(error, ImgsyncError):
        _print_message(f"error: {sanitize_short(redaction.clean(error.message))}", hint=sanitize_short(redaction.clean(error.hint)))
        return error.exit_code
    click.echo(sanitize_lines(redaction.clean("".join(traceback.format_exception(error)))), err=True, nl=False)
    click.echo("This is a bug in imgsync. Please report it with the lines above.", err=True)
    return _BUG_EXIT
