"""
Find how many parallel requests a registry serves best.

As TCP does: double once per round of responses, later add a little. Halve after a refusal. Shrink when requests take over twice as long as when
few ran (TCP Vegas; Gradient2 of Netflix's concurrency-limits): then half of them wait in a queue, and more at once bring nothing.
Pure: no clock, no waiting.
"""

from __future__ import annotations

import math
from dataclasses import field

from imgsync.system.dataclass import dataclass

START = 16
_MOST_STRETCH = 2.0
# One response that took very long, such as after a pause of the registry, must not decide.
_LONGEST_STRETCH = 8.0
# Where the registry refused before, it is tried again after some rounds.
_CAUTIOUS_GROWTH = 1 / 8
_LEAST_RESPONSES = 8
_MOST_RESPONSES = 64


@dataclass(slots=True)
class _Latency:
    """How long the responses to one kind of request take."""

    responses: int = 0
    average: float = 0.0
    lowest_average: float = math.inf

    def note(self, seconds: float) -> None:
        """Add a response to the average of the last ones."""
        self.responses += 1
        self.average += (seconds - self.average) / min(self.responses, _MOST_RESPONSES)
        if self.responses >= _LEAST_RESPONSES:
            self.lowest_average = min(self.lowest_average, self.average)


@dataclass(slots=True)
class _Round:
    """The responses since the limit was last judged."""

    responses: int = 0
    seconds: float = 0.0
    expected_seconds: float = 0.0

    @property
    def stretch(self) -> float:
        """Return how many times longer than expected the responses took."""
        return self.seconds / self.expected_seconds if self.expected_seconds else 1.0


@dataclass(slots=True)
class Parallelism:
    """
    The number of parallel requests, adapted to the responses.

    It never exceeds `ceiling`. Latency alone never takes it below its start, since latency has other causes too.
    """

    ceiling: int
    generation: int = 0
    """Counts the decreases. Requests that began before the last one say nothing new."""

    _allowed: float = 0.0
    _is_doubling: bool = True
    _refused_at: int = 0
    _round: _Round = field(default_factory=_Round)
    _latencies: dict[str, _Latency] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start low; a short run must not notice."""
        self._allowed = float(self._start)

    @property
    def allowed(self) -> int:
        """Return how many requests may run in parallel now."""
        return int(self._allowed)

    @property
    def expected(self) -> int:
        """Return how many requests will probably run after the next round."""
        return min(self.ceiling, 2 * self.allowed) if self._is_doubling else self.allowed

    @property
    def _start(self) -> int:
        return min(START, self.ceiling)

    def note_response(self, generation: int, running: int, *, kind: str = "", seconds: float | None = None) -> None:
        """
        Note that a request was served.

        Args:
            generation: The one in which the request began.
            running: How many requests run, with this one.
            kind: What the request was for; only requests of one kind are compared. Without *seconds*, latency is not judged.
            seconds: The time from the request to the head of its response.
        """
        if generation != self.generation:
            return
        if seconds is not None:
            self._note_latency(kind, seconds)
        # A limit that is not used shows nothing about a higher one.
        if running * 2 < self._allowed:
            return
        self._allowed = min(float(self.ceiling), self._allowed + self._growth / self._allowed)
        self._round.responses += 1
        if self._round.responses >= self._allowed / 2:
            self._judge(self._round.stretch)
            self._round = _Round()

    def note_refusal(self, generation: int, running: int) -> None:
        """Halve what runs, once for all requests of one *generation*."""
        if generation == self.generation:
            self._refused_at = running
            self._decrease(max(1.0, min(self._allowed, running) / 2))

    @property
    def _growth(self) -> float:
        """Return by how much the limit grows in a round of responses."""
        if self._is_doubling:
            return self._allowed
        if not self._refused_at:
            return math.sqrt(self._allowed)
        is_near_refusal = self._refused_at - 1 <= self._allowed < self._refused_at
        return _CAUTIOUS_GROWTH if is_near_refusal else 1.0

    def _note_latency(self, kind: str, seconds: float) -> None:
        latency = self._latencies.setdefault(kind, _Latency())
        expected = latency.lowest_average
        latency.note(seconds)
        if expected < math.inf:
            self._round.seconds += min(seconds, expected * _LONGEST_STRETCH)
            self._round.expected_seconds += expected

    def _judge(self, stretch: float) -> None:
        if stretch > _MOST_STRETCH:
            self._decrease(max(min(self._allowed, self._start), self._allowed * max(0.5, _MOST_STRETCH / stretch)))

    def _decrease(self, allowed: float) -> None:
        self._is_doubling = False
        self._allowed = allowed
        self.generation += 1
        self._round = _Round()
