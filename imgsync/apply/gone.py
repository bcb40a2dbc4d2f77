"""List the tags that stay although their source no longer has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from imgsync.plan.gone_tag import Absence, GoneTag
from imgsync.plan.model import Plan


def list_gone(plan: Plan, since: Mapping[str, str]) -> Iterator[GoneTag]:
    """
    Yield gone tags that their destination still has.

    *since* is when each was first seen to be gone, by destination.
    """
    yield from (replace(tag, since=since.get(str(tag.destination))) for tag in plan.gone)
    for change in plan.deletions:
        # A deletion that failed, was refused or is left for the next run. A tag that is back has no date.
        if (date := since.get(str(change.destination))) and change.gone_since:
            yield GoneTag(change.mirror, change.source, change.destination, change.destination_digest or "", date, Absence.UNLISTED)
