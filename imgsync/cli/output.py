"""
Print results to stdout and notes to stderr, both without secrets.

The only module that prints, so that nothing passes by the redaction.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

import click

from imgsync.system.stdio import is_utf8
from imgsync.system.terminal import has_colour, read_size
from imgsync.text.redaction import Redaction

if TYPE_CHECKING:
    from imgsync.text.layout import Layout

_COLOURS = {"+": "green", "~": "yellow", "?": "cyan", "!": "red", "-": "red", "x": "red", ".": "cyan"}
_MIN_WIDTH = 40
_COLUMNS_DIGITS = 4
_SIGNS = re.compile(r"^  ([-+~?!x.]) ", re.MULTILINE)
# The name in the first line of each part of a table.
_HEADINGS = re.compile(r"(\A|\n\n)(\S.*?)(?=   |\n)")


def get_redaction() -> Redaction:
    """Return the secrets to hide in this run."""
    found = click.get_current_context().find_object(Redaction)
    assert found is not None  # noqa: S101 - set by `cli.run`
    return found


def print_line(text: str) -> None:
    """Print a line to stdout."""
    print_text(f"{text}\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print *lines* to stdout at once."""
    print_text("".join(f"{line}\n" for line in lines))


def print_text(text: str) -> None:
    """Print *text*, which has its own line breaks, to stdout."""
    _write(get_redaction().clean(text))


def print_note(text: str) -> None:
    """Print lines to stderr."""
    write_note(text, get_redaction())


def write_note(text: str, redaction: Redaction) -> None:
    """Print lines to stderr, also outside of a command."""
    click.echo(redaction.clean(text), err=True)


def write_wrapped(text: str, redaction: Redaction) -> None:
    """Print a line to stderr, wrapped between words on a terminal."""
    from imgsync.text.layout import wrap_on_terminal

    for line in wrap_on_terminal(redaction.clean(text), choose_layout(sys.stderr), rest="  "):
        write_note(line, redaction)


def print_table(text: str) -> None:
    """Print *text* to stdout, its signs in colour."""
    cleaned = get_redaction().clean(text)
    _write(_HEADINGS.sub(_embolden, _SIGNS.sub(_colour, cleaned)) if has_colour(sys.stdout) else cleaned)


def choose_layout(stream: TextIO) -> Layout:
    """Return the width (`COLUMNS`, else its own, else 100) of *stream*."""
    from imgsync.text.layout import PLAIN, Layout

    is_terminal = stream.isatty()
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:_COLUMNS_DIGITS]) > 0:
        width = int(columns[:_COLUMNS_DIGITS])
    else:
        width = read_size(stream.fileno()).columns if is_terminal else PLAIN.width
    return Layout(max(width, _MIN_WIDTH), is_terminal)


def print_json(document: Any) -> None:
    """Print *document* to stdout as JSON, indented on a terminal."""
    print_clean_json(get_redaction().clean_values(document))


def print_clean_json(document: Any) -> None:
    """Print *document*, which has no secrets, as `print_json` does."""
    from imgsync.documents.json_stream import iter_json

    for text in iter_json(document, indented=sys.stdout.isatty(), ascii_only=not is_utf8(sys.stdout), end="\n"):
        _write(text)


def _write(text: str) -> None:
    """Write to stdout."""
    # In a thread if the write would block: a slow reader must not stop the event loop.
    if "imgsync.concurrency.greenlets" in sys.modules:
        _write_without_blocking(text)
    else:
        _write_now(text)


def _write_without_blocking(text: str) -> None:
    """Write to stdout without blocking other greenlets."""
    from imgsync.concurrency.native_thread import run_in_thread
    from imgsync.concurrency.writable import is_writable

    if is_writable(sys.stdout, len(text.encode(errors="replace"))):
        _write_now(text)
    else:
        run_in_thread(lambda: _write_now(text))


def _write_now(text: str) -> None:
    click.echo(text, nl=False)
    sys.stdout.flush()


def _colour(sign: re.Match[str]) -> str:
    return f"  {click.style(sign[1], fg=_COLOURS[sign[1]], bold=True)} "


def _embolden(heading: re.Match[str]) -> str:
    return f"{heading[1]}{click.style(heading[2], bold=True)}"
