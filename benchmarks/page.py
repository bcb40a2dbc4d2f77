"""
Write docs/performance.md and its charts from the figures of a run.

    python -m benchmarks.page FIGURES.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.goals import OWN, Figures, Goals, best_peer, value
from benchmarks.run import is_peer

DOCS = Path(__file__).parents[1] / "docs"
_BLUE, _LIGHT, _GREY = "#1f5fa8", "#7fb0e0", "#b8b8b8"


def chart(name: str, work: Figures, folder: Path) -> None:
    """Draw the wall time of each tool in one scenario, for a desk and for a phone."""
    walls = {phase: [(value(one, phase, "wall"), one["tool"]) for one in work["results"]] for phase in ("cold", "unchanged")}
    height = 0.6 + 0.3 * len(work["results"])
    draw(walls, folder / f"{name}.svg", panels=(1, 2), size=(10, height))
    draw(walls, folder / f"{name}-narrow.svg", panels=(2, 1), size=(4.3, 2 * height))


def draw(walls: Mapping[str, Sequence[tuple[float, str]]], file: Path, *, panels: tuple[int, int], size: tuple[float, float]) -> None:
    """Draw the wall times of each phase in a panel of its own; *size* is in inches."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "imgsync", "font.family": "sans-serif", "font.size": 9})
    figure, drawn = plt.subplots(*panels, figsize=size, layout="constrained")
    for panel, (phase, found) in zip(drawn, walls.items(), strict=True):
        shown = sorted(found, reverse=True)
        colours = [_BLUE if tool == OWN else _LIGHT if tool.startswith(OWN) else _GREY for _, tool in shown]
        bars = panel.barh([tool for _, tool in shown], [wall for wall, _ in shown], color=colours)
        panel.bar_label(bars, fmt="%.2f", padding=3)
        panel.set_title(f"{phase}, seconds (less is better)", loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.15)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def show_chart(name: str, alt: str) -> str:
    """Return the Markdown of a scenario's chart."""
    return f"""\
<picture>
  <source media="(max-width: 600px)" srcset="performance/{name}-narrow.svg">
  <img src="performance/{name}.svg" alt="{alt}">
</picture>"""


def _table(head: Sequence[str], lines: Iterator[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' if number == 0 else ' ---: ' for number in range(len(head)))}|"
    for line in lines:
        cells = (cell.replace("|", r"\|") for cell in line)
        yield f"| {' | '.join(cells)} |"


def _rows(work: Figures, phase: str) -> Iterator[Sequence[str]]:
    results = {one["tool"]: one for one in work["results"]}
    best = best_peer(results, phase)[1] if any(map(is_peer, results)) else None
    for result in sorted(work["results"], key=lambda one: value(one, phase, "wall")):
        wall = value(result, phase, "wall")
        wrong = max(sample["wrong"] for sample in result[phase])
        yield (
            f"**{result['tool']}**" if result["tool"].startswith(OWN) else result["tool"],
            f"{wall:.2f}",
            f"{wall / best:.2f}" if best else "–",
            f"{value(result, phase, 'cpu'):.2f}",
            f"{value(result, phase, 'peak'):.0f}",
            f"{value(result, phase, 'source'):,.0f} / {value(result, phase, 'destination'):,.0f}",
            f"{value(result, phase, 'source_bytes') / 1e6:,.1f}",
            f"{value(result, phase, 'written_bytes') / 1e6:,.1f}",
            str(len(result[phase])) + (f", {wrong} tags wrong" if wrong else ""),
        )


def _kinds(results: dict[str, Figures]) -> Iterator[Sequence[str]]:
    own, peer = results[OWN], results[best_peer(results, "cold")[0]]
    for side in ("source", "destination"):
        theirs, ours = peer["cold"][-1][side], own["cold"][-1][side]
        for kind in sorted({*theirs, *ours}):
            yield side, kind, f"{ours.get(kind, 0):,}", f"{theirs.get(kind, 0):,}"


HEADLINE = """# Performance

With 64 images and connections at once, mirroring 1,000 small images takes imgsync {cold:.0f} s, and a run with nothing to copy {unchanged:.1f} s.
With its defaults it takes {default_cold:.0f} s and {default_unchanged:.1f} s. The fastest other tool ({peer}) takes
{peer_cold:.0f} s and {peer_unchanged:.1f} s.

{chart}
"""

INTRODUCTION = """## How it is measured

`make bench` makes this page. It runs imgsync and every similar tool (*peer*) found on `PATH` with the same two registries. In each scenario below the tools
take turns, and after each run every tag is compared with the source's.

- **cold**: the destination is empty. **unchanged**: the same command again, with nothing to copy.
- **wall s**, **CPU s** and **MiB**: medians of wall time, CPU time and the memory of the largest process. CPU and memory come from the kernel.
- **× best peer**: wall time compared with the fastest peer that mirrored every tag correctly.
- **requests**: counted in the access logs of the registries.
- **MB read** and **MB written**: bytes that the source sent, and bytes that the destinations' processes wrote to their disks and to clients.
- **runs**: a peer ran only once if it mirrored a tag wrongly, or took more than 1.4 times as long as the best peer, both cold and unchanged.

Machine: {machine}. Both registries (Debian's docker-registry, on one disk) run on the same machine as the tools, so compare only the ratios within this
page with other machines. Versions: {versions}.

`imgsync` runs with `concurrency: {{images: 64, queries: 64, blobs: 4}}` and `connections: 64`; `imgsync (defaults)` runs with its defaults.
`regsync, 16 and 32` runs with `parallel: 16` and `reqConcurrent: 32`, and `crane, 8 processes of 8` runs 8 processes with `--jobs 8`.

The slow line is a proxy with 40 ms each way, 10 MiB/s per connection, and slow start for each connection (`benchmarks/line.py`).
"""


def headline(work: Figures) -> str:
    """Return the page's first sentence and chart."""
    results = {one["tool"]: one for one in work["results"]}
    peer, cold = best_peer(results, "cold")
    return HEADLINE.format(
        chart=show_chart("small", "Wall time of each tool, for 1,000 small images"),
        cold=value(results[OWN], "cold", "wall"),
        unchanged=value(results[OWN], "unchanged", "wall"),
        default_cold=value(results[f"{OWN} (defaults)"], "cold", "wall"),
        default_unchanged=value(results[f"{OWN} (defaults)"], "unchanged", "wall"),
        peer=peer,
        peer_cold=cold,
        peer_unchanged=value(results[peer], "unchanged", "wall"),
    )


def page(figures: Figures) -> Iterator[str]:
    """Yield the lines of the page."""
    machine = figures["machine"]
    yield headline(figures["works"]["small"])
    yield INTRODUCTION.format(
        machine=f"{machine['processors']}, {machine['memory']}, Linux {machine['kernel']}, Python {machine['python']}",
        versions=", ".join(f"{program} {version}" for program, version in figures["versions"].items()),
    )
    yield from (
        "## Goals",
        "",
    )
    yield from _table(
        ("measure", "goal", "result", "reached"),
        ((what, goal, reached, "yes" if fine else "**no**") for what, goal, reached, fine in Goals(figures).lines()),
    )
    for name, work in figures["works"].items():
        yield from ("", f"## {work['title']}", "", show_chart(name, f"Wall time of each tool, for {work['title']}"), "")
        for phase in ("cold", "unchanged"):
            yield from _table(
                (phase, "wall s", "× best peer", "CPU s", "MiB", "requests source / destination", "MB read", "MB written", "runs"), _rows(work, phase)
            )
            yield ""
        results = {one["tool"]: one for one in work["results"]}
        if any(map(is_peer, results)):
            yield f"Requests by kind, cold, compared with the best peer ({best_peer(results, 'cold')[0]}):"
            yield ""
            yield from _table(("side", "kind", "imgsync", "peer"), _kinds(results))


def main() -> None:
    figures = json.loads(Path(sys.argv[1]).read_text())
    folder = DOCS / "performance"
    folder.mkdir(exist_ok=True)
    for name, work in figures["works"].items():
        chart(name, work, folder)
    (DOCS / "performance.md").write_text("\n".join(page(figures)) + "\n")


if __name__ == "__main__":
    main()
