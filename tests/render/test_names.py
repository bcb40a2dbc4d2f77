"""Names in columns."""

from __future__ import annotations

from imgsync.render.names import render_names, render_references
from imgsync.text.layout import PLAIN, Layout

NARROW = Layout(40, is_terminal=True)


def test_names_stand_in_columns_on_a_terminal():
    """Filled downwards; without a terminal each has its line, for programs."""
    names = [f"1.{number}" for number in range(20)]

    assert list(render_names(names, NARROW)) == [
        "1.0  1.3  1.6  1.9   1.12  1.15  1.18",
        "1.1  1.4  1.7  1.10  1.13  1.16  1.19",
        "1.2  1.5  1.8  1.11  1.14  1.17",
    ]
    assert list(render_names(names, PLAIN)) == names
    assert list(render_names([], NARROW)) == []
    assert list(render_names(["a" * 50, "b"], NARROW)) == ["a" * 50, "b"]


def test_references_stand_below_their_repository():
    """On a terminal; else whole, one per line."""
    references = ["r.io/m/app:1", "r.io/m/app:2", "r.io:5000/m/base@sha256:0"]

    assert list(render_references(references, NARROW)) == ["r.io/m/app", "  1  2", "r.io:5000/m/base", "  sha256:0"]
    assert list(render_references(references, PLAIN)) == references
