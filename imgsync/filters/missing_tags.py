"""
Decide whether tags that a source lacks would be selected.

Each is judged alone, next to the tags that are selected now. So a source that hides tags cannot make another one unselected. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from imgsync.errors import SelectionError
from imgsync.filters.tags import Selection, TagFilter, has_only_names, select_tags

_ORDER = "order by "


def select_missing_tags(
    missing: Mapping[str, datetime], selection: Selection, tag_filter: TagFilter, *, dates: Mapping[str, datetime | None], now: datetime
) -> tuple[str, ...]:
    """
    Return the tags of *missing* that *tag_filter* would select.

    If the order cannot be determined, a tag counts as selected.

    Args:
        missing: Tags that the source lacks, each with the latest time at which it can have been created.

        selection: What the filter selects of the tags that the source has.

        tag_filter: What the mirror declares; its exact names are not considered.

        dates: The creation dates that are known of selected tags.

        now: The time that `max_age` counts back from.
    """
    if not missing or has_only_names(tag_filter):
        return ()
    known = {**dates, **missing}

    def get_dates(tags: Sequence[str]) -> Mapping[str, datetime | None]:
        return {tag: known[tag] for tag in tags if tag in known}

    patterns = replace(tag_filter, names=(), newest=None, newest_per=None, max_age_seconds=None)
    passing = select_tags(missing, patterns, created_at=get_dates, now=now).tags
    if tag_filter.newest is None and tag_filter.newest_per is None and tag_filter.max_age_seconds is None:
        return passing
    order = next((step.name.removeprefix(_ORDER) for step in selection.steps if step.name.startswith(_ORDER)), tag_filter.order)
    limited = replace(tag_filter, names=(), order=order)

    def is_selected(tag: str) -> bool:
        try:
            return tag in select_tags([*selection.tags, tag], limited, created_at=get_dates, now=now).tags
        except SelectionError:
            return True

    return tuple(tag for tag in passing if is_selected(tag))
