"""What a command writes: the result to stdout, all else to stderr, no secret in either."""

from __future__ import annotations

import sys
from typing import Any

import click

from imgsync.redaction import Redaction


def redaction() -> Redaction:
    """Return what must not show in this run."""
    found = click.get_current_context().find_object(Redaction)
    assert found is not None  # noqa: S101 - `cli.run` gives every command one
    return found


def say(text: str, *, nl: bool = True) -> None:
    """Write *text* to stdout."""
    click.echo(redaction().clean(text), nl=nl)


def say_json(document: Any) -> None:
    """Write *document* to stdout as JSON, indented for people on a terminal."""
    from imgsync.render.documents import to_json

    click.echo(to_json(redaction().clean_values(document), indented=sys.stdout.isatty()))
