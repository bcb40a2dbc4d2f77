"""Compare the results with the goals: the first table of docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.run import is_peer

Figures = dict[str, Any]
# The measure, the goal, the result, and whether the result reaches the goal.
Line = tuple[str, str, str, bool]
OWN = "imgsync"


def value(result: Figures, phase: str, name: str) -> float:
    """Return the median of one figure (requests and bytes: the last)."""
    samples = result[phase]
    if name in {"source", "destination"}:
        return sum(samples[-1][name].values())
    if name.endswith("_bytes"):
        return float(samples[-1][name])
    return statistics.median(sample[name] for sample in samples)


def results_of(figures: Figures, work: str) -> dict[str, Figures]:
    """Return the results of one scenario by tool name."""
    return {result["tool"]: result for result in figures["works"][work]["results"]}


def best_peer(results: dict[str, Figures], phase: str, name: str = "wall") -> tuple[str, float]:
    """
    Return the peer with the lowest figure, and that figure.

    A peer that mirrored a tag wrongly does not count.
    """
    able = {tool: value(result, phase, name) for tool, result in results.items() if is_peer(tool) and not any(one["wrong"] for one in result["cold"])}
    best = min(able, key=lambda tool: able[tool])
    return best, able[best]


class Goals:
    """The goals of one run of the benchmark, one table row each."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._works = figures["works"]

    def lines(self) -> Iterator[Line]:
        """Yield the measure, the goal, the result, and whether it is reached."""
        yield from self._unchanged()
        yield from self._ratio("small", "1,000 small images, cold, loopback", 0.8)
        yield from self._fewest("small", "requests of 1,000 small images, cold")
        yield from self._ratio("shared", "40 images on one base, cold, loopback", 0.5)
        yield from self._ratio("large", "six layers of 256 MiB, cold, loopback", 1.0)
        yield from self._pipe()
        yield from self._ratio("multi", "indexes and referrers, cold, loopback", 0.8)
        yield from self._ratio("small-line", "40 small images, cold, slow line", 0.7)
        yield from self._ratio("shared-line", "10 images on one base, cold, slow line", 0.5)
        yield from self._ratio("large-line", "large layers, cold, slow line", 0.5)
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
            yield what, f"≤ {goal} × the best peer's wall time", f"{own / wall:.2f} × {peer} ({own:.2f} s and {wall:.2f} s)", own <= goal * wall

    def _unchanged(self) -> Iterator[Line]:
        if self._has("small"):
            results = results_of(self._figures, "small")
            own, (peer, wall) = value(results[OWN], "unchanged", "wall"), best_peer(results, "unchanged")
            yield (
                "unchanged re-run of 1,000 tags, loopback",
                "≤ 0.6 × the best peer's wall time",
                f"{own / wall:.2f} × {peer} ({own:.2f} s and {wall:.2f} s)",
                own <= 0.6 * wall,
            )
            asked = value(results[OWN], "unchanged", "source") + value(results[OWN], "unchanged", "destination")
            theirs = value(results[peer], "unchanged", "source") + value(results[peer], "unchanged", "destination")
            yield (
                "requests of that re-run",
                "≤ half of that peer's, 0 to the destination",
                f"{asked:.0f}; peer: {theirs:.0f}; {value(results[OWN], 'unchanged', 'destination'):.0f} to the destination",
                asked <= theirs / 2,
            )

    def _fewest(self, work: str, what: str) -> Iterator[Line]:
        if self._has(work):
            results = results_of(self._figures, work)
            asked = {tool: _requests(one, "cold") for tool, one in results.items() if tool == OWN or is_peer(tool)}
            own = asked.pop(OWN)
            least = min(asked, key=lambda tool: asked[tool])
            yield what, "fewer than any peer's", f"{own:.0f}; fewest by a peer: {asked[least]:.0f} ({least})", own < asked[least]

    def _pipe(self) -> Iterator[Line]:
        if self._has("large"):
            results = results_of(self._figures, "large")
            pipe = next((one for tool, one in results.items() if tool.startswith("curl")), None)
            if pipe is not None:
                share = value(pipe, "cold", "wall") / value(results[OWN], "cold", "wall")
                yield "six layers of 256 MiB, compared with curl", "≥ 0.85 × curl's speed", f"{share:.2f} × curl's speed", share >= 0.85

    def _three(self) -> Iterator[Line]:
        if self._has("three", "one"):
            three, one = (results_of(self._figures, work)[OWN] for work in ("three", "one"))
            ratio = value(three, "cold", "wall") / value(one, "cold", "wall")
            copies = value(three, "cold", "source_bytes") / value(one, "cold", "source_bytes")
            yield "three destinations at once", "≤ 1.5 × one destination", f"{ratio:.2f} × one destination", ratio <= 1.5
            yield "bytes read for three destinations", "as many as for one", f"{copies:.3f} × one destination", copies < 1.01

    def _single(self) -> Iterator[Line]:
        if self._has("single"):
            result = results_of(self._figures, "single")["imgsync (defaults)"]
            wall, cpu = value(result, "unchanged", "wall"), value(result, "unchanged", "cpu")
            yield (
                "re-run of one unchanged tag, including the start of imgsync",
                "≤ 0.4 s wall and CPU",
                f"{wall:.2f} s wall, {cpu:.2f} s CPU",
                max(wall, cpu) <= 0.4,
            )

    def _memory(self) -> Iterator[Line]:
        peaks = {
            f"{work}, {result['tool']}": max(sample["peak"] for sample in (*result["cold"], *result["unchanged"]))
            for work, one in self._works.items()
            for result in one["results"]
            if result["tool"].startswith(OWN)
        }
        if peaks:
            most = max(peaks, key=lambda name: peaks[name])
            yield "peak memory of any run below", "≤ 120 MiB", f"{peaks[most]:.0f} MiB ({most})", peaks[most] <= 120


def _requests(result: Figures, phase: str) -> float:
    return value(result, phase, "source") + value(result, phase, "destination")


def _within(row: Figures) -> bool:
    seconds, mebibytes = ([float(part.split()[0]) for part in row["goal"].split(", ") if part.endswith(unit)] for unit in (" s", " MiB"))
    return all(row["wall"] <= limit for limit in seconds) and all(row["peak"] <= limit for limit in mebibytes)
