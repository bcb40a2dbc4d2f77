"""What the first page shows: every mirror at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imgsync.progress.counts import Counts
from imgsync.render.bar_segments import Segment, make_segments
from imgsync.serve.board import Board
from imgsync.serve.views import MirrorState, MirrorView, RunningView, TagState
from imgsync.serve.web.paging import Page, cut_page
from imgsync.serve.web.words import STATE_NAMES
from imgsync.system.dataclass import dataclass
from imgsync.text.units import choose_noun, format_bytes, format_duration

MIRRORS_PER_PAGE = 200
_MAX_IMAGES = 6
# More make a headline that is hard to read; the counts below it have all.
_PHRASES = 2
_SEVERITY = {state: number for number, state in enumerate(STATE_NAMES)}
_FAULT_HINT = "check the address or folder, and the login; imgsync goes on with what it has, and tries again by itself"
_MOODS = {"failing": "failed", "refused": "refused", "pending": "remaining", "unchecked": "remaining"}


@dataclass(frozen=True, slots=True)
class Progress:
    """
    A run under way, in words.

    `done` and `total` are of the bar, both 0 if unknown.
    """

    headline: str
    details: str
    done: int
    total: int
    images: tuple[tuple[str, str], ...]
    more: int


def list_shown(mirrors: Sequence[MirrorView], *, state: str, words: Sequence[str], number: int) -> Page[MirrorView]:
    """Return the mirrors in *state* that have all *words*, the worst first."""
    found = [mirror for mirror in mirrors if (not state or mirror.state == state) and has_words(f"{mirror.name} {mirror.source} {mirror.description}", words)]
    found.sort(key=lambda mirror: (_SEVERITY[mirror.state], mirror.name))
    return cut_page(found, number, MIRRORS_PER_PAGE)


def count_states(mirrors: Sequence[MirrorView]) -> list[tuple[str, int]]:
    """Return the number of mirrors by state, the worst first."""
    found = Counter(mirror.state for mirror in mirrors)
    return [(state, found[MirrorState(state)]) for state in STATE_NAMES if found[MirrorState(state)] or state == MirrorState.IN_STEP]


def make_verdict(board: Board, mirrors: Sequence[MirrorView]) -> tuple[str, str]:
    """Return how everything stands: a kind, and a sentence."""
    if board.configuration.loaded_at is None:
        return ("failed", "No configuration can be used") if board.configuration.errors or board.configuration.fault else ("remaining", "Starting")
    if not mirrors:
        return "held", "No mirrors are declared"
    found = Counter(mirror.state for mirror in mirrors)
    phrases = {
        MirrorState.FAILING: "failing",
        MirrorState.REFUSED: "with refused tags",
        MirrorState.PENDING: "with pending tags",
        MirrorState.UNCHECKED: "not checked yet",
    }
    is_broken = board.configuration.errors or board.configuration.fault
    if is_broken and not (found[MirrorState.FAILING] or found[MirrorState.REFUSED]):
        # The counts below say how the mirrors stand.
        return "errors", "The newest declarations have errors" if board.configuration.errors else "The declarations cannot be read"
    parts = [(state, f"{found[state]:,} {phrase}") for state, phrase in phrases.items() if found[state]]
    if parts:
        state, text = parts[0]
        noun = f" {choose_noun(found[state], 'mirror')} "
        return _MOODS[state], ", ".join([text.replace(" ", noun, 1), *(text for _, text in parts[1:_PHRASES])])
    active = len(mirrors) - found[MirrorState.SUSPENDED]
    if not active:
        return "held", "Every mirror is suspended"
    return "copied", f"All {active:,} mirrors are in step" if active > 1 else "The mirror is in step"


def list_segments(counts: Mapping[TagState, int]) -> Iterator[Segment]:
    """Yield the parts of a mirror's bar, the worst first."""
    return make_segments(dict(list_counts(counts)), digits=1)


def list_counts(counts: Mapping[TagState, int]) -> list[tuple[str, int]]:
    """Return the counts that are not zero, the worst first."""
    return [(state, counts[TagState(state)]) for state in STATE_NAMES if state in counts and counts[TagState(state)]]


def describe_progress(running: RunningView) -> Progress:
    """Return what the run under way has done so far."""
    counts = running.counts
    if counts.images_total is None or not running.order.applies:
        headline = f"{counts.tags_looked_up:,} of {counts.tags:,} tags looked up" if counts.tags else "Listing the repositories"
        details = f"{counts.repositories_listed:,} of {counts.repositories:,} {choose_noun(counts.repositories, 'repository', 'repositories')} listed"
        return Progress(headline, details, counts.tags_looked_up, counts.tags, (), 0)
    images = [
        (image.name, f"{format_bytes(image.moved_bytes)} of {format_bytes(image.total_bytes)}" if image.total_bytes else "begins")
        for image in [*counts.running.values()][:_MAX_IMAGES]
    ]
    headline = f"{counts.images_done:,} of {counts.images_total:,} {choose_noun(counts.images_total, 'image')} done"
    more = max(0, len(counts.running) - _MAX_IMAGES)
    return Progress(headline, ", ".join(_list_details(counts)), *_measure(counts), tuple(images), more)


def has_words(text: str, words: Sequence[str]) -> bool:
    """Return whether *text* has all *words*, which are in lower case."""
    return not words or all(word in text.lower() for word in words)


def list_problems(board: Board) -> list[dict[str, Any]]:
    """Return what does not work, besides mirrors: what, where, what to do."""
    found = [{"title": "Problem", "where": "", "what": problem, "todo": ""} for problem in board.problems]
    configuration = board.configuration
    if configuration.fault:
        found.append({"title": "Not readable", "where": configuration.origin, "what": configuration.fault, "todo": _FAULT_HINT})
    for title, errors in (("Error", configuration.errors), ("Warning", configuration.warnings)):
        for error in errors:
            where = f"{error.file}:{error.line}:{error.column}" if error.line else error.file
            what = f"{error.path}: {error.message}" if error.path else error.message
            found.append({"title": title, "where": where, "what": what, "todo": error.hint})
    if board.lease is not None and board.lease.fault:
        found.append({"title": "Lease", "where": board.lease.name, "what": board.lease.fault, "todo": ""})
    return found


def _measure(counts: Counts) -> tuple[int, int]:
    if counts.bytes_total:
        return counts.bytes_copied, counts.bytes_total
    return counts.images_done, counts.images_total or 0


def _list_details(counts: Counts) -> Iterator[str]:
    if counts.bytes_total is not None:
        yield f"{format_bytes(counts.bytes_copied)} of {format_bytes(counts.bytes_total)}"
    if counts.rate.per_second >= 1:
        yield f"{format_bytes(round(counts.rate.per_second))}/s"
    left = counts.left_seconds
    if left is not None:
        yield f"{format_duration(left)} left"
    if counts.is_stopping:
        yield "stopping"
