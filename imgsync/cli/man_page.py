"""Make the manual page from the help of every command."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

import click

_FILES = (
    ("mirrors.d/", "The declarations: what to mirror, and where to."),
    ("registries.yaml", "Settings of registries: credentials, TLS, allow-list. Operators own it."),
    (".imgsync/state", "The record of pushed images; a cache that can be made again."),
)
_EXIT_STATUS = (
    ("0", "Done."),
    ("1", "Something failed, was refused, or drifted."),
    ("2", "Changes are pending; only from plan --detailed-exitcode."),
    ("3", "Invalid configuration or usage; nothing was done."),
    ("70", "A bug in imgsync."),
    ("75", "Stopped gracefully with work left, or the state is locked: run it again."),
    ("130", "Cancelled by a second signal."),
)
_CODE = re.compile(r"`([^`]+)`")


def render_man_page(root: click.Command) -> str:
    """Return the manual page of *root* in the format of man(7)."""
    context = click.Context(root, info_name="imgsync", **root.context_settings)
    lines = [
        '.TH IMGSYNC 1 "" imgsync "User Commands"',
        ".SH NAME",
        r"imgsync \- mirror container images as declared in YAML",
        ".SH SYNOPSIS",
        *_write_usage(context),
        ".SH DESCRIPTION",
        *_write_help(root),
        ".SH COMMANDS",
        *(line for command in _walk(context) for line in _write_command(command)),
        ".SH EXIT STATUS",
        *(line for code, text in _EXIT_STATUS for line in _write_item(code, text)),
        ".SH ENVIRONMENT",
        *_wrap("Every option can be set by a variable: --log-format is IMGSYNC_LOG_FORMAT. With CI set, nothing is asked."),
        ".SH FILES",
        *(line for name, text in _FILES for line in _write_item(name, text)),
    ]
    return "".join(f"{line}\n" for line in lines)


def _walk(context: click.Context) -> Iterator[click.Context]:
    """Yield the contexts of all commands below *context*."""
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if found is not None:
                inner = click.Context(found, info_name=name, parent=context)
                yield inner
                yield from _walk(inner)


def _write_command(context: click.Context) -> list[str]:
    options = [one for one in context.command.get_params(context) if isinstance(one, click.Option)]
    records = [record for one in options if (record := one.get_help_record(context)) is not None]
    items = [line for names, text in records for line in _write_item(names, text)]
    return [f".SS {_escape(context.command_path)}", *_write_usage(context), ".PP", *_write_help(context.command), *items]


def _write_usage(context: click.Context) -> list[str]:
    pieces = " ".join(context.command.collect_usage_pieces(context))
    return [rf"\fB{_escape(context.command_path)}\fR {_escape(pieces)}".rstrip()]


def _write_help(command: click.Command) -> Iterator[str]:
    for number, paragraph in enumerate(inspect.cleandoc(command.help or "").split("\n\n")):
        if number:
            yield ".PP"
        # click keeps the lines of a paragraph that begins with \b.
        if paragraph.startswith("\b"):
            yield from (".nf", *map(_escape, paragraph.removeprefix("\b\n").splitlines()), ".fi")
        else:
            yield from _wrap(" ".join(paragraph.split()))


def _write_item(name: str, text: str) -> list[str]:
    return [".TP", rf"\fB{_escape(name)}\fR", *_wrap(text)]


def _wrap(text: str) -> list[str]:
    """Return *text* in lines, as tools for roff expect it."""
    lines = textwrap.wrap(_escape(text), 78, break_long_words=False, break_on_hyphens=False)
    return [rf"\&{line}" if line.startswith((".", "'")) else line for line in lines]


def _escape(text: str) -> str:
    """Escape *text* for roff; code between backquotes is bold."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    escaped = _CODE.sub(r"\\fB\1\\fR", escaped)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
