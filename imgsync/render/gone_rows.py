"""Tags that the source no longer has, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.plan.gone_tag import GoneTag
from imgsync.render.image_name import name_destination
from imgsync.render.reasons import find_shared, join_why, render_shared
from imgsync.render.rows import Row, render_rows
from imgsync.text.layout import Layout


def render_gone(tags: Sequence[GoneTag], layout: Layout, *, prefix: str = "", most: int, listed_by: str) -> Iterator[str]:
    """
    Yield a row per tag of *tags*.

    Args:
        tags: Those of one mirror, or of all.

        layout: The layout of the table.

        prefix: The destination that the heading above shows.

        most: More rows are counted.

        listed_by: What lists all, such as "--all"; "" if nothing does.
    """
    shared = find_shared([tag.description for tag in tags])
    yield from render_shared(f"{len(tags)} kept", shared, layout)
    shown = tags[:most]
    rows = [Row(".", name_destination(str(tag.destination), prefix=prefix), "kept", why=join_why(tag.description, without=shared)) for tag in shown]
    yield from render_rows(rows, layout)
    if len(shown) < len(tags):
        yield f"    … and {len(tags) - len(shown)} more gone at the source{f' ({listed_by} lists them)' if listed_by else ''}"
