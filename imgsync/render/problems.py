"""
Errors, refusals and failures in tables.

A reference is never shortened: the repair needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.plan.model import PlanError
from imgsync.system.dataclass import dataclass
from imgsync.text.layout import Layout, measure, wrap
from imgsync.text.sanitize import sanitize_short

_INDENT = " " * 6
_DEEPER = " " * 8


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with which references, and what to do."""

    sign: str
    references: tuple[str, ...]
    word: str
    message: str
    hint: str = ""


def make_problem(error: PlanError) -> Problem:
    """Return *error* as a problem."""
    return Problem("x", (error.reference,), "later" if error.later else "error", error.message, error.hint)


def render_problems(problems: Sequence[Problem], layout: Layout) -> Iterator[str]:
    """Yield *problems*; a hint that several share follows the last one."""
    for number, problem in enumerate(problems):
        yield from _render(problem, layout)
        following = problems[number + 1].hint if number + 1 < len(problems) else ""
        if problem.hint and problem.hint != following:
            yield from wrap(f"hint: {sanitize_short(problem.hint)}", layout.width, first=_INDENT, rest=_DEEPER)


def _render(problem: Problem, layout: Layout) -> Iterator[str]:
    message = sanitize_short(problem.message)
    # Most messages name the reference that they are about.
    references = [shown for reference in problem.references if (shown := sanitize_short(reference)) not in message]
    begin = f"  {problem.sign} "
    line = begin + "   ".join(part for part in (" → ".join(references), problem.word, message) if part)
    if not layout.is_terminal or measure(line) <= layout.width:
        yield line
        return
    first = begin
    for number, reference in enumerate(references):
        yield f"{first}{'→ ' if number else ''}{reference}"
        first = _INDENT
    yield from wrap(f"{problem.word}: {message}", layout.width, first=first, rest=_INDENT)
