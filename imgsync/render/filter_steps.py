"""The filter steps of `--explain` as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from imgsync.plan.model import NOT_FOUND, FilterStep
from imgsync.text.layout import Layout, wrap
from imgsync.text.sanitize import sanitize_short

# The names of one step that are shown.
SHOWN = 20


def render_steps(steps: Sequence[FilterStep], layout: Layout) -> Iterator[str]:
    """Yield counts by repository, and what each step dropped."""
    for repository, some in groupby(steps, key=lambda step: step.repository):
        found = list(some)
        path = repository.partition("/")[2] or repository
        counts = " → ".join(f"{step.left} {sanitize_short(step.step)}" for step in found if step.step != NOT_FOUND)
        yield from wrap(f"{sanitize_short(path)}: {counts}", layout.width, first="    ", rest=" " * 10)
        for step in found:
            dropped = describe_dropped(step, ", ".join(map(sanitize_short, step.dropped[:SHOWN])))
            remark = f" ({sanitize_short(step.remark)})" if step.remark else ""
            if dropped or remark:
                yield from wrap(f"{sanitize_short(step.step)}: {dropped}{remark}", layout.width, first=" " * 6, rest=" " * 10)


def describe_dropped(step: FilterStep, names: str) -> str:
    """Return how many tags *step* dropped; *names* are the first."""
    if not step.dropped:
        return ""
    more = f" and {len(step.dropped) - SHOWN} more" if len(step.dropped) > SHOWN else ""
    return f"{'' if step.step == NOT_FOUND else f'{len(step.dropped)} dropped: '}{names}{more}"
