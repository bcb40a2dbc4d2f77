"""The problems of a report, each with a remedy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import Action, PlanError
from imgsync.render.left_work import name_errors
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count, format_duration

# A browser is slow with more cards; the tasks count them all.
_MAX_CARDS = 500
_MAX_TASKS = 20
_MAX_MIRRORS_OF_A_TASK = 5
# For documents of older versions, whose errors may lack a hint.
_NO_MESSAGE = "no message"
_ANY_REMEDY = "run it again with --log-level debug to see each request; images that were copied are not copied again"


@dataclass(frozen=True, slots=True)
class Card:
    """One problem: what, where, what happened, what to do."""

    source: str
    destination: str
    problem: str
    remedy: str
    details: str


@dataclass(frozen=True, slots=True)
class MirrorCards:
    """The cards of one mirror."""

    mirror: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True)
class Problems:
    """The problems of one kind, by mirror."""

    kind: str
    title: str
    lead: str
    count: int
    mirrors: tuple[MirrorCards, ...]
    omitted: int


@dataclass(frozen=True, slots=True)
class Task:
    """What to do, and how many problems it concerns."""

    remedy: str
    count: str
    mirrors: str


@dataclass(frozen=True, slots=True)
class _Problem:
    mirror: str
    card: Card


def list_problems(report: Report) -> list[Problems]:
    """Return the problems of *report* by kind, the worst first; none empty."""
    failed = [_make_outcome_problem(outcome) for outcome in report.select(Result.FAILED)]
    errors = [error for error in report.errors if not error.later]
    refused = [_make_outcome_problem(outcome) for outcome in report.select(Result.REFUSED)]
    kinds = (
        _group("failed", "Failed", "", failed),
        _group("errors", name_errors(errors), "", [_make_error_problem(error) for error in errors]),
        _group("refused", "Refused", "The destination stays unchanged.", refused),
    )
    return [found for found in kinds if found.count]


def list_tasks(report: Report) -> list[Task]:
    """Return what to do, by number of problems; empty if all differ."""
    outcomes = (_make_outcome_problem(outcome) for outcome in report.select(Result.FAILED, Result.REFUSED))
    errors = (_make_error_problem(error) for error in report.errors if not error.later)
    mirrors: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for problem in (*outcomes, *errors):
        mirrors[problem.card.remedy][problem.mirror] += 1
    if len(mirrors) == sum(found.total() for found in mirrors.values()):
        return []
    ordered = sorted(mirrors.items(), key=lambda item: -item[1].total())
    return [Task(remedy, format_count(found.total(), "problem"), _list_names(found)) for remedy, found in ordered[:_MAX_TASKS]]


def _list_names(mirrors: Counter[str]) -> str:
    names = [name for name, _ in mirrors.most_common(_MAX_MIRRORS_OF_A_TASK)]
    more = len(mirrors) - len(names)
    return ", ".join([*names, *([f"{more} more"] if more else [])])


def _group(kind: str, title: str, lead: str, problems: Sequence[_Problem]) -> Problems:
    shown = problems[:_MAX_CARDS]
    mirrors: defaultdict[str, list[Card]] = defaultdict(list)
    for problem in shown:
        mirrors[problem.mirror].append(problem.card)
    groups = tuple(MirrorCards(mirror, tuple(cards)) for mirror, cards in mirrors.items())
    return Problems(kind, title, lead, len(problems), groups, len(problems) - len(shown))


def _make_outcome_problem(outcome: Outcome) -> _Problem:
    change = outcome.change
    tried = [format_count(outcome.attempts, "attempt")] if outcome.attempts > 1 else []
    took = [format_duration(outcome.seconds)] if outcome.seconds else []
    # A deleted tag has no source.
    source = "" if change.action is Action.DELETE else sanitize_short(str(change.source))
    problem = _show(outcome.error or change.reason, default=_NO_MESSAGE)
    remedy = _show(outcome.hint, default=_ANY_REMEDY)
    card = Card(source, sanitize_short(str(change.destination)), problem, remedy, " in ".join([*tried, *took]))
    return _Problem(sanitize_short(change.mirror), card)


def _make_error_problem(error: PlanError) -> _Problem:
    problem, remedy = _show(error.message, default=_NO_MESSAGE), _show(error.hint, default=_ANY_REMEDY)
    card = Card(sanitize_short(error.reference), "", problem, remedy, "")
    return _Problem(sanitize_short(error.mirror), card)


def _show(text: str, *, default: str) -> str:
    """Return *text*, or *default* if a reader would see nothing."""
    shown = sanitize_short(text)
    return shown if shown.strip() else default
