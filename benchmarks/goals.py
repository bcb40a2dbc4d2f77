"""What is to be reached, and what a run reached: the lines of the first table of docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.run import is_peer

Figures = dict[str, Any]
# What, the goal, what was reached, and whether that is the goal.
Line = tuple[str, str, str, bool]
OWN = "imgsync"


def value(result: Figures, phase: str, name: str) -> float:
    """Return the median of one figure; requests and bytes are those of the last run."""
    samples = result[phase]
    if name in {"source", "destination"}:
        return sum(samples[-1][name].values())
    if name.endswith("_bytes"):
        return float(samples[-1][name])
    return statistics.median(sample[name] for sample in samples)


def results_of(figures: Figures, work: str) -> dict[str, Figures]:
    """Return the results of one work by the tool's name."""
    return {result["tool"]: result for result in figures["works"][work]["results"]}


def best_peer(results: dict[str, Figures], phase: str, name: str = "wall") -> tuple[str, float]:
    """Return which peer has the least of a figure, and how much; one that mirrored wrongly does not count."""
    able = {tool: value(result, phase, name) for tool, result in results.items() if is_peer(tool) and not any(one["wrong"] for one in result["cold"])}
    best = min(able, key=lambda tool: able[tool])
    return best, able[best]


class Goals:
    """The goals, each a line of the table: what, the goal, what was reached."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._works = figures["works"]

    def lines(self) -> Iterator[Line]:
        """Yield what is to be reached, the goal, what was, and whether it is."""
        yield from self._unchanged()
        yield from self._ratio("small", "1,000 small images, cold, loopback", 0.8)
        yield from self._fewest("small", "requests of 1,000 small images, cold")
        yield from self._ratio("shared", "40 images on one base, cold, loopback", 0.5)
        yield from self._ratio("large", "six layers of 256 MiB, cold, loopback", 1.0)
        yield from self._pipe()
        yield from self._ratio("multi", "indexes and referrers, cold, loopback", 0.8)
        yield from self._ratio("small-line", "small, cold, long thin line", 0.7)
        yield from self._ratio("shared-line", "shared, cold, long thin line", 0.5)
        yield from self._ratio("large-line", "large layers, cold, long thin line", 0.5)
        yield from self._three()
        yield from self._single()
        yield from self._memory()
        for row in self._figures.get("program", []):
            yield row["name"], f"≤ {row['goal']}", f"{row['wall']:.2f} s, {row['peak']:.0f} MiB", _within(row)

    def _has(self, *works: str) -> bool:
        return all(work in self._works for work in works)

    def _ratio(self, work: str, what: str, goal: float) -> Iterator[Line]:
        if self._has(work):
            results = results_of(self._figures, work)
            own, (peer, wall) = value(results[OWN], "cold", "wall"), best_peer(results, "cold")
            yield what, f"≤ {goal} × the best peer's wall", f"{own / wall:.2f} × {peer} ({own:.2f} s and {wall:.2f} s)", own <= goal * wall

    def _unchanged(self) -> Iterator[Line]:
        if self._has("small"):
            results = results_of(self._figures, "small")
            own, (peer, wall) = value(results[OWN], "unchanged", "wall"), best_peer(results, "unchanged")
            yield (
                "unchanged re-run of 1,000 tags, loopback",
                "≤ 0.6 × the best peer's wall",
                f"{own / wall:.2f} × {peer} ({own:.2f} s and {wall:.2f} s)",
                own <= 0.6 * wall,
            )
            asked = value(results[OWN], "unchanged", "source") + value(results[OWN], "unchanged", "destination")
            theirs = value(results[peer], "unchanged", "source") + value(results[peer], "unchanged", "destination")
            yield (
                "its requests",
                "≤ half of that peer's, none to the destination",
                f"{asked:.0f} of {theirs:.0f}, {value(results[OWN], 'unchanged', 'destination'):.0f} to the destination",
                asked <= theirs / 2,
            )

    def _fewest(self, work: str, what: str) -> Iterator[Line]:
        if self._has(work):
            results = results_of(self._figures, work)
            asked = {tool: _requests(one, "cold") for tool, one in results.items() if tool == OWN or is_peer(tool)}
            own = asked.pop(OWN)
            least = min(asked, key=lambda tool: asked[tool])
            yield what, "fewer than any peer's", f"{own:.0f}; the fewest of a peer: {asked[least]:.0f} ({least})", own < asked[least]

    def _pipe(self) -> Iterator[Line]:
        if self._has("large"):
            results = results_of(self._figures, "large")
            pipe = next((one for tool, one in results.items() if tool.startswith("curl")), None)
            if pipe is not None:
                share = value(pipe, "cold", "wall") / value(results[OWN], "cold", "wall")
                yield "the same bytes by curl", "≥ 0.85 of its pace", f"{share:.2f} of it", share >= 0.85

    def _three(self) -> Iterator[Line]:
        if self._has("three", "one"):
            three, one = (results_of(self._figures, work)[OWN] for work in ("three", "one"))
            ratio = value(three, "cold", "wall") / value(one, "cold", "wall")
            copies = value(three, "cold", "source_bytes") / value(one, "cold", "source_bytes")
            yield "three destinations at once", "≤ 1.5 × one destination", f"{ratio:.2f} ×", ratio <= 1.5
            yield "bytes read for three destinations", "those of one", f"{copies:.3f} × those of one", copies < 1.01

    def _single(self) -> Iterator[Line]:
        if self._has("single"):
            result = results_of(self._figures, "single")["imgsync (defaults)"]
            wall, cpu = value(result, "unchanged", "wall"), value(result, "unchanged", "cpu")
            yield "a re-run of one unchanged tag, start included", "≤ 0.4 s wall and CPU", f"{wall:.2f} s wall, {cpu:.2f} s CPU", max(wall, cpu) <= 0.4

    def _memory(self) -> Iterator[Line]:
        peaks = {
            f"{work}, {result['tool']}": max(sample["peak"] for sample in (*result["cold"], *result["unchanged"]))
            for work, one in self._works.items()
            for result in one["results"]
            if result["tool"].startswith(OWN)
        }
        if peaks:
            most = max(peaks, key=lambda name: peaks[name])
            yield "peak memory, any of these", "≤ 120 MiB", f"{peaks[most]:.0f} MiB ({most})", peaks[most] <= 120


def _requests(result: Figures, phase: str) -> float:
    return value(result, phase, "source") + value(result, phase, "destination")


def _within(row: Figures) -> bool:
    seconds, mebibytes = ([float(part.split()[0]) for part in row["goal"].split(", ") if part.endswith(unit)] for unit in (" s", " MiB"))
    return all(row["wall"] <= limit for limit in seconds) and all(row["peak"] <= limit for limit in mebibytes)
