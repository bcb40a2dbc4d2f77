"""What a command writes: the result to stdout, all else to stderr, no secret in either."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import click

from imgsync.system.stdio import is_writable, redirect_to_null
from imgsync.text.redaction import Redaction

_COLOURS = {"+": "green", "~": "yellow", "?": "cyan", "!": "red", "-": "red", "x": "red"}
_SIGNS = re.compile(r"^  ([-+~?!x]) ", re.MULTILINE)


def redaction() -> Redaction:
    """Return what must not show in this run."""
    found = click.get_current_context().find_object(Redaction)
    assert found is not None  # noqa: S101 - `cli.run` gives every command one
    return found


def say(text: str) -> None:
    """Write a line to stdout."""
    _write(f"{redaction().clean(text)}\n")


def say_table(text: str) -> None:
    """Write *text*, lines ending in newlines, to stdout; on a terminal with colour on the signs that begin its lines."""
    cleaned = redaction().clean(text)
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    _write(_SIGNS.sub(_coloured, cleaned) if coloured else cleaned)


def say_json(document: Any) -> None:
    """Write *document* to stdout as JSON, indented for people on a terminal."""
    from imgsync.documents.envelope import to_json

    _write(f"{to_json(redaction().clean_values(document), indented=sys.stdout.isatty())}\n")


def _write(text: str) -> None:
    """Write to stdout; a reader that takes its time holds up nothing else, and one that is gone does not change what a command comes to."""
    try:
        if "imgsync.concurrency.greenlets" not in sys.modules or is_writable(sys.stdout, len(text.encode(errors="replace"))):
            _put(text)
        else:
            from imgsync.concurrency.native_thread import run_in_thread

            run_in_thread(lambda: _put(text))
    except BrokenPipeError:
        redirect_to_null(sys.stdout)


def _put(text: str) -> None:
    click.echo(text, nl=False)
    sys.stdout.flush()


def _coloured(sign: re.Match[str]) -> str:
    return f"  {click.style(sign[1], fg=_COLOURS[sign[1]], bold=True)} "
