"""Refused tags in Markdown: each with its reason, what to do once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial

from imgsync.render.limited_page import Block, Entry
from imgsync.render.markdown import format_code, format_prose
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused tag, why, and what to do about it."""

    destination: str
    mirror: str
    reason: str
    advice: str


def yield_refused(block: Block, refusals: Iterable[Refusal], *, counts_as: str) -> Iterator[Entry]:
    """Yield *refusals* as a quoted list; those with one advice together."""
    by_advice: defaultdict[str, list[Refusal]] = defaultdict(list)
    for refusal in refusals:
        by_advice[refusal.advice].append(refusal)
    for number, (advice, some) in enumerate(by_advice.items()):
        if advice:
            # Below the list, but first in importance: it needs the room of one line.
            yield Entry(block, partial(_render_advice, advice), position=2 * number + 1)
        yield from (Entry(block, partial(_render, refusal), counts_as, 2 * number) for refusal in some)


def _render(refusal: Refusal) -> str:
    return f"> - {format_code(refusal.destination)} (mirror {format_code(refusal.mirror)}): {format_prose(refusal.reason)}"


def _render_advice(advice: str) -> str:
    # The empty line ends the list.
    return f">\n> hint: {format_prose(advice)}"
