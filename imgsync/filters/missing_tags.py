"""
Decide whether tags that a source lacks would be selected.

Each is judged next to the tags that are selected now, and next to no other that would be selected. So a source that hides tags cannot make
another one unselected. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    passing = tuple(select_tags(missing, patterns, created_at=get_dates, now=now).tags)
    if tag_filter.newest is None and tag_filter.newest_per is None and tag_filter.max_age_seconds is None:
        return passing
    order = next((step.name.removeprefix(_ORDER) for step in selection.steps if step.name.startswith(_ORDER)), tag_filter.order)
    limited = replace(tag_filter, names=(), order=order)

    def select(tags: Sequence[str]) -> set[str]:
        return set(select_tags([*selection.tags, *tags], limited, created_at=get_dates, now=now).tags)

    # As many at once as are selected, so that the time grows with the number of tags, not with its square.
    size = max(1, len(selection.tags))
    chosen = {tag for start in range(0, len(passing), size) for tag in _choose(passing[start : start + size], select)}
    return tuple(tag for tag in passing if tag in chosen)


def _choose(tags: Sequence[str], select: Callable[[Sequence[str]], set[str]]) -> Iterator[str]:
    """
    Yield those of *tags* that would be selected.

    Those that are selected are taken out, and the rest is judged without them, until none of the rest is selected.
    """
    rest = list(tags)
    while rest:
        try:
            selected = select(rest)
        except SelectionError:
            if len(rest) == 1:
                yield from rest
                return
            half = len(rest) // 2
            yield from _choose(rest[:half], select)
            rest = rest[half:]
            continue
        chosen = [tag for tag in rest if tag in selected]
        if not chosen:
            return
        yield from chosen
        rest = [tag for tag in rest if tag not in selected]
