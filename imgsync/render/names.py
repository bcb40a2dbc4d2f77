"""Names of repositories, tags and destinations in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from imgsync.filters.natural_order import make_natural_key
from imgsync.oci.spec.reference import split_reference
from imgsync.text.layout import Layout, set_in_columns
from imgsync.text.sanitize import sanitize_line


def render_names(names: Sequence[str], layout: Layout) -> Iterator[str]:
    """Yield *names*, in columns on a terminal, else one per line."""
    shown = [sanitize_line(name) for name in names]
    yield from set_in_columns(shown, layout.width) if layout.is_terminal else shown


def render_references(references: Sequence[str], layout: Layout) -> Iterator[str]:
    """Yield *references*, on a terminal the tags below their repository."""
    if not layout.is_terminal:
        yield from map(sanitize_line, references)
        return
    ordered = sorted(references, key=make_natural_key)
    for repository, some in groupby(map(split_reference, ordered), key=lambda parts: parts[0]):
        yield sanitize_line(repository)
        yield from set_in_columns([sanitize_line(tag.lstrip(":@")) for _, tag in some], layout.width, indent="  ")
