"""The command line: the only package that prints."""

from __future__ import annotations

import sys
import traceback

import click

import imgsync
from imgsync.cli.groups import LazyGroup
from imgsync.cli.output import write_note, write_wrapped
from imgsync.system.stdio import find_write_error
from imgsync.text.redaction import Redaction

_COMMANDS = {
    "validate": "Check the configuration, without a network.",
    "login-check": "Check credentials and permissions at each registry.",
    "plan": "Show what would change, without changing anything.",
    "apply": "Copy missing and outdated images to the destinations.",
    "serve": "Keep mirrors in step by schedule and event, with a status page.",
    "lock": "Pin the digest of each selected tag.",
    "combine": "Combine the outcomes of shards into one report.",
    "worker": "Copy images for a coordinator, as one of a fleet.",
    "show": "Print a saved plan or report.",
    "verify": "Check that the destinations serve what is declared.",
    "copy": "Copy one image or repository, without a configuration.",
    "list": "List the repositories or tags of a registry.",
    "inventory": "Write down what a registry holds, for a bundle.",
    "bundle": "Carry images across an air gap.",
    "state": "Inspect, edit, move or rebuild the state.",
    "discover": "Find the images that manifests, charts and clusters use.",
    "init": "Create a mirror repository, CI included.",
    "fmt": "Give declarations one layout; comments stay.",
    "schema": "Print the JSON schema of the configuration.",
    "runtime-config": "Write what nodes need to pull from the mirror.",
    "convert": "Convert the configuration of another tool.",
    "demo": "Run a demo on two built-in registries.",
    "completion": "Print the completion script of a shell.",
    "man": "Print the manual page.",
    "help": "Show the help of a command.",
    "version": "Show the version.",
}
_BUG_EXIT = 70
_USAGE_EXIT = 3
# Commands and subcommands of `state` that do nothing but print. The exit code of others is that of their work or check.
_OUTPUT_IS_RESULT = {"plan", "show", "list", "schema", "convert", "discover", "export", "completion", "man", "help", "version"}


@click.group(cls=LazyGroup, commands_help=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(imgsync.__version__, "-V", "--version", prog_name="imgsync")
def cli() -> None:
    """
    Mirror container images as declared in YAML: plan, review, apply.

    PATH... is a folder or files; the default is mirrors.d. Exit codes: 0 done, 1 something failed or was refused, 2 changes are
    pending (plan --detailed-exitcode, lock --check) or images are not covered (discover --covered-by), 3 invalid configuration
    or usage, 70 a bug, 75 stopped with work left: run it again, 130 cancelled by a second signal.
    """


def run(argv: list[str]) -> int:
    """Run the command line *argv* and return its exit code."""
    redaction = Redaction()
    code = _run_command(argv, redaction)
    sys.stdout.flush()
    return _check_output(argv, code, redaction)


def _run_command(argv: list[str], redaction: Redaction) -> int:
    try:
        result = cli.main(argv, prog_name="imgsync", standalone_mode=False, obj=redaction)
    except click.exceptions.NoArgsIsHelpError as error:
        write_note(error.format_message(), redaction)
        return _USAGE_EXIT
    except click.ClickException as error:
        return _print_usage_error(error, argv, redaction)
    except click.Abort:
        return 130
    except Exception as error:  # noqa: BLE001 - the outermost handler: any other exception is a bug
        return _print_error(error, redaction)
    return result if isinstance(result, int) else 0


def _check_output(argv: list[str], code: int, redaction: Redaction) -> int:
    """Report lost output; it fails a command that only prints."""
    error = find_write_error(sys.stdout)
    if not error:
        return code
    is_result = argv[0] in _OUTPUT_IS_RESULT or (argv[0] == "state" and not _OUTPUT_IS_RESULT.isdisjoint(argv[1:2]))
    write_note(f"{'error' if is_result else 'warning'}: the output could not be written to stdout: {error}", redaction)
    return code if code not in {0, 2} or not is_result else 1


def _print_message(message: str, hint: str, redaction: Redaction) -> None:
    write_wrapped(message, redaction)
    if hint:
        write_wrapped(f"hint: {hint}", redaction)


def _print_usage_error(error: click.ClickException, argv: list[str], redaction: Redaction) -> int:
    from imgsync.cli.usage_hints import explain_usage
    from imgsync.text.sanitize import sanitize_short

    message, hint = explain_usage(error, argv) if isinstance(error, click.UsageError) else (error.format_message(), "")
    _print_message(f"error: {sanitize_short(redaction.clean(message))}", sanitize_short(redaction.clean(hint)), redaction)
    return _USAGE_EXIT


def _print_error(error: Exception, redaction: Redaction) -> int:
    from imgsync.errors import ConfigError, ImgsyncError, NotApprovedError
    from imgsync.text.sanitize import sanitize_lines, sanitize_short

    if isinstance(error, ConfigError):
        from imgsync.cli.config_errors import print_config_errors

        print_config_errors(error.errors, redaction)
        return error.exit_code
    if isinstance(error, NotApprovedError):
        # An answer is not an error.
        write_wrapped(error.message, redaction)
        return error.exit_code
    if isinstance(error, ImgsyncError):
        # Redacted before it is cut: a secret cut in two cannot be found.
        _print_message(f"error: {sanitize_short(redaction.clean(error.message))}", sanitize_short(redaction.clean(error.hint)), redaction)
        return error.exit_code
    write_note(sanitize_lines(redaction.clean("".join(traceback.format_exception(error)))).rstrip("\n"), redaction)
    write_note("This is a bug in imgsync. Please report it with the lines above.", redaction)
    return _BUG_EXIT
