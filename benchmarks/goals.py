"""Compare the results with the goals: the second table of docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.peers import is_floor, is_peer
from benchmarks.samples import describe_broken_caches

Figures = dict[str, Any]
# The measure, the goal, the result, and whether the result reaches the goal.
Line = tuple[str, str, str, bool]
OWN, DEFAULTS = "imgsync", "imgsync (defaults)"


def value(result: Figures, phase: str, name: str) -> float:
    """Return the median of one figure (requests and bytes: the last)."""
    samples = result[phase]
    if name in {"source", "destination"}:
        return sum(samples[-1][name].values())
    if name.endswith("_bytes"):
        return float(samples[-1][name])
    return statistics.median(sample[name] for sample in samples)


def median_registries_cpu(result: Figures, phase: str) -> float:
    """Return the registries' median CPU seconds; 0 for figures without them."""
    return statistics.median(sample.get("registries_cpu", 0.0) for sample in result[phase])


def by_tool(work: Figures) -> dict[str, Figures]:
    """Return the results of one scenario by tool name."""
    return {result["tool"]: result for result in work["results"]}


def has_peer(results: dict[str, Figures]) -> bool:
    """Return whether a peer mirrored every tag correctly."""
    return any(is_peer(tool) and is_right(result) for tool, result in results.items())


def is_right(result: Figures) -> bool:
    """Return whether the tool mirrored every tag correctly in all cold runs."""
    return not any(sample["wrong"] for sample in result["cold"])


def best_peer(results: dict[str, Figures], phase: str, name: str = "wall") -> tuple[str, float]:
    """
    Return the peer with the lowest figure, and that figure.

    A peer that mirrored a tag wrongly does not count.
    """
    able = {tool: value(result, phase, name) for tool, result in results.items() if is_peer(tool) and is_right(result)}
    best = min(able, key=lambda tool: able[tool])
    return best, able[best]


class Goals:
    """The goals of one run of the benchmark, one table row each."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._works = figures["works"]

    def lines(self) -> Iterator[Line]:
        """Yield the measure, the goal, the result, and whether it is reached."""
        yield from self._ratio("small-300-line-tls", "300 small images, cold, slow line, TLS", 0.5)
        yield from self._ratio("small-300-line-tls", "the same with the defaults", 0.6, own=DEFAULTS)
        yield from self._ratio("small-line-tls", "40 small images, cold, slow line, TLS", 0.8)
        yield from self._ratio("shared-line-tls", "10 images on one base, cold, slow line, TLS", 0.2)
        yield from self._ratio("small-300-tls", "300 small images, cold, loopback, TLS", 0.7)
        yield from self._cpu("small-300-tls", "CPU time of that", 2)
        yield from self._ratio("small-40-tls", "40 small images, cold, loopback, TLS", 0.7)
        yield from self._defaults()
        yield from self._unchanged()
        yield from self._ratio("small", "1,000 small images, cold, loopback", 0.8)
        yield from self._fewest("small", "requests of 1,000 small images, cold")
        yield from self._cpu("small", "CPU time of 1,000 small images, cold", 6)
        yield from self._ratio("shared", "40 images on one base, cold, loopback", 0.4)
        yield from self._ratio("large", "six layers of 256 MiB, cold, loopback", 1.0)
        yield from self._floors()
        yield from self._ratio("multi", "indexes and referrers, cold, loopback", 0.8)
        yield from self._ratio("small-line", "40 small images, cold, slow line", 0.7)
        yield from self._ratio("shared-line", "10 images on one base, cold, slow line", 0.45)
        yield from self._ratio("large-line", "large layers, cold, slow line", 0.5)
        yield from self._three()
        yield from self._single()
        yield from self._memory()
        for row in self._figures.get("program", []):
            yield row["name"], f"≤ {row['goal']}", f"{row['wall']:.2f} s, {row['peak']:.0f} MiB", _within(row)

    def _results(self, *works: str) -> list[dict[str, Figures]]:
        """Return the results of each scenario; none if one of them has not run."""
        return [by_tool(self._works[work]) for work in works] if all(work in self._works for work in works) else []

    def _ratio(self, work: str, what: str, goal: float, *, own: str = OWN, phase: str = "cold") -> Iterator[Line]:
        for results in self._results(work):
            if own in results and has_peer(results):
                ours, (peer, wall) = value(results[own], phase, "wall"), best_peer(results, phase)
                unfair = "".join(f"; {sentence}" for sentence in describe_broken_caches(self._works[work], self._figures.get("tools", {})))
                reached = f"{ours / wall:.2f} × {peer} ({ours:.2f} s and {wall:.2f} s){self._bound(results[own], phase, goal * wall, wall)}{unfair}"
                yield what, f"≤ {goal} × the best peer's wall time", reached, ours <= goal * wall

    def _bound(self, result: Figures, phase: str, goal: float, wall: float) -> str:
        """Say if the registries alone need more than *goal* seconds."""
        least = median_registries_cpu(result, phase) / int(self._figures.get("machine", {}).get("processors", "1").split()[0])
        return f"; the CPU time of the registries alone is {least / wall:.2f} ×" if least > goal else ""

    def _cpu(self, work: str, what: str, goal: float) -> Iterator[Line]:
        for results in self._results(work):
            if OWN in results:
                cpu = value(results[OWN], "cold", "cpu")
                yield what, f"≤ {goal:g} s", f"{cpu:.2f} s", cpu <= goal

    def _defaults(self) -> Iterator[Line]:
        ratios = {
            name: value(results[DEFAULTS], "cold", "wall") / value(results[OWN], "cold", "wall")
            for name, results in ((name, by_tool(work)) for name, work in self._works.items())
            if {OWN, DEFAULTS} <= results.keys()
        }
        if ratios:
            most = max(ratios, key=lambda name: ratios[name])
            yield "the defaults, cold, in every scenario", "≤ 1.15 × the declared 64", f"at most {ratios[most]:.2f} × ({most})", ratios[most] <= 1.15

    def _unchanged(self) -> Iterator[Line]:
        yield from self._ratio("small", "unchanged re-run of 1,000 tags, loopback", 0.6, phase="unchanged")
        for results in self._results("small"):
            if OWN in results and has_peer(results):
                peer = best_peer(results, "unchanged")[0]
                asked, theirs = (_requests(results[tool], "unchanged") for tool in (OWN, peer))
                yield (
                    "requests of that re-run",
                    "≤ half of that peer's, 0 to the destination",
                    f"{asked:.0f}; peer: {theirs:.0f}; {value(results[OWN], 'unchanged', 'destination'):.0f} to the destination",
                    asked <= theirs / 2,
                )

    def _fewest(self, work: str, what: str) -> Iterator[Line]:
        for results in self._results(work):
            asked = {tool: _requests(one, "cold") for tool, one in results.items() if is_peer(tool)}
            if asked and OWN in results:
                own = _requests(results[OWN], "cold")
                least = min(asked, key=lambda tool: asked[tool])
                yield what, "fewer than any peer's", f"{own:.0f}; fewest by a peer: {asked[least]:.0f} ({least})", own < asked[least]

    def _floors(self) -> Iterator[Line]:
        for results in self._results("large"):
            for floor in filter(is_floor, results if OWN in results else ()):
                share = value(results[floor], "cold", "wall") / value(results[OWN], "cold", "wall")
                yield f"six layers of 256 MiB, compared with {floor}", "≥ 0.85 × its speed", f"{share:.2f} × its speed", share >= 0.85

    def _three(self) -> Iterator[Line]:
        three, one = self._results("three", "one") or ({}, {})
        if OWN in three and OWN in one:
            ratio, copies = (value(three[OWN], "cold", name) / value(one[OWN], "cold", name) for name in ("wall", "source_bytes"))
            bare = [
                f"; a bare copy ({tool}): {value(three[tool], 'cold', 'wall') / value(one[tool], 'cold', 'wall'):.2f} ×"
                for tool in three
                if is_floor(tool) and tool in one
            ]
            yield "three destinations at once", "≤ 1.5 × one destination", f"{ratio:.2f} × one destination{''.join(bare)}", ratio <= 1.5
            yield "bytes read for three destinations", "as many as for one", f"{copies:.3f} × one destination", copies < 1.01

    def _single(self) -> Iterator[Line]:
        for results in self._results("single"):
            if DEFAULTS in results:
                wall, cpu = (value(results[DEFAULTS], "unchanged", name) for name in ("wall", "cpu"))
                what = "re-run of one unchanged tag, including the start of imgsync"
                yield what, "≤ 0.25 s wall and CPU", f"{wall:.2f} s wall, {cpu:.2f} s CPU", max(wall, cpu) <= 0.25

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
