"""Explain usage errors: near commands and options, and whose help to read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence

import click

from imgsync.cli.groups import UnknownCommandError

# What other tools call our commands and options.
_COMMAND_HABITS = {
    "cat": ("show",),
    "check": ("plan", "verify", "validate"),
    "completions": ("completion",),
    "cp": ("copy",),
    "delete": ("remove",),
    "diff": ("plan",),
    "format": ("fmt",),
    "get": ("show",),
    "import-config": ("convert",),
    "lint": ("validate",),
    "login": ("login-check",),
    "ls": ("list",),
    "mirror": ("apply",),
    "mirrors": ("list",),
    "new": ("init",),
    "once": ("apply",),
    "preview": ("plan",),
    "prune": ("apply",),
    "pull": ("copy",),
    "push": ("apply", "copy"),
    "rm": ("remove",),
    "run": ("apply",),
    "status": ("plan", "verify"),
    "sync": ("apply",),
    "tags": ("list",),
    "up": ("apply",),
}
_OPTION_HABITS = {
    "--config": "--file",
    "--filename": "--file",
    "--force": "--yes",
    "--format": "--output",
    "--json": "--output json",
    "--mirror": "--only",
    "--no-input": "--yes",
    "--parallelism": "`concurrency` in the mirror's declaration",
    "--quiet": "--log-level error",
    "--target": "--only",
    "--tls-verify": "`tls` in registries.yaml",
    "--insecure": "`tls` in registries.yaml",
    "--verbose": "--log-level debug",
    "-v": "--log-level debug",
    "-q": "--log-level error",
}
# By command: what an option of another one would say here.
_NEEDLESS = {
    ("apply", "--all"): "`apply` handles every mirror unless --only selects some",
    ("plan", "--dry-run"): "`plan` never changes anything",
    ("verify", "--dry-run"): "`verify` never changes anything at the destinations",
}
# Without dashes `otu` is as near to `out` as 0.67; `force` and `grace` have 0.6.
_OPTION_CUTOFF = 0.65


def explain_usage(error: click.UsageError, argv: Sequence[str]) -> tuple[str, str]:
    """Return the message of *error* and a hint, for the arguments *argv*."""
    context = error.ctx
    if context is None:
        return error.format_message(), "`imgsync --help` lists the commands"
    message, hints = error.format_message(), _suggest_long(context, argv)
    if isinstance(error, UnknownCommandError):
        message, hints = error.message, _suggest_command(context, error.name)
    elif isinstance(error, click.NoSuchOption) and not hints:
        message, hints = f"unknown option {error.option_name}", _suggest_option(context, error.option_name)
    elif isinstance(error, click.NoSuchOption):
        message = f"unknown option {error.option_name}"
    # click lists the choices of an argument in lines of their own.
    message = " ".join(message.split())
    what = "the commands" if isinstance(context.command, click.Group) else "its options"
    return message, "; ".join([*hints, f"`{context.command_path} --help` lists {what}"]).replace("?; ", "? ")


def _suggest_command(context: click.Context, name: str) -> list[str]:
    assert isinstance(context.command, click.Group)  # noqa: S101 - only a group has commands
    known = context.command.list_commands(context)
    near = [one for one in _COMMAND_HABITS.get(name.lower(), ()) if one in known] or _find_near(name.lower(), known)
    return [_ask(f"`{context.command_path} {one}`" for one in near)] if near else []


def _suggest_option(context: click.Context, name: str) -> list[str]:
    known = list(_list_options(context.command))
    if needless := _NEEDLESS.get((context.command.name or "", name)):
        return [needless, *_list_owners(context, name)]
    habit = _OPTION_HABITS.get(name, "")
    if habit and (habit.startswith("`") or habit.split()[0] in known):
        return [_ask([habit])]
    # Without the dashes, which all have.
    bare = {one.removeprefix("--"): one for one in known if one.startswith("--")}
    near = [bare[one] for one in _find_near(name.removeprefix("--"), bare, cutoff=_OPTION_CUTOFF)] if name.startswith("--") else []
    return [_ask(near)] if near else _list_owners(context, name)


def _list_owners(context: click.Context, name: str) -> list[str]:
    """Return a hint that names the commands with the option *name*."""
    root = context.find_root()
    assert isinstance(root.command, click.Group)  # noqa: S101 - `imgsync` is one
    commands = ((one, root.command.get_command(root, one)) for one in root.command.list_commands(root))
    owners = [f"`{one}`" for one, command in commands if command is not None and name in _list_options(command)]
    return [f"{name} is an option of {_join(owners, 'and')}"] if owners else []


def _suggest_long(context: click.Context, argv: Sequence[str]) -> list[str]:
    """Suggest two dashes for a long option with one, such as `-out=FILE`."""
    known = set(_list_options(context.command))
    single = [argument.partition("=")[0] for argument in argv if len(argument) > 2 and argument[0] == "-" != argument[1]]
    meant = [f"-{one}" for one in dict.fromkeys(single) if f"-{one}" in known]
    return [_ask(meant)] if meant else []


def _list_options(command: click.Command) -> Iterator[str]:
    """Yield the spellings of every option that the help lists."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from (*parameter.opts, *parameter.secondary_opts)


def _find_near(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> list[str]:
    return difflib.get_close_matches(name, list(known), n=2, cutoff=cutoff)


def _ask(names: Iterable[str]) -> str:
    return f"did you mean {_join(list(names), 'or')}?"


def _join(names: Sequence[str], word: str) -> str:
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), names[-1])))
