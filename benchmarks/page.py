"""
Write docs/performance.md and its charts from the figures of a run.

    python -m benchmarks.page FIGURES.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.goals import DEFAULTS, OWN, Figures, Goals, best_peer, by_tool, has_peer, median_registries_cpu, value
from benchmarks.peers import is_floor
from benchmarks.samples import describe_broken_caches
from benchmarks.works import WORKS
from imgsync.text.units import format_count

DOCS = Path(__file__).parents[1] / "docs"
# The tables that users meet first: TLS and a line, then the rest.
_FIRST = tuple(work.name for work in WORKS if work.tls)


def _table(head: Sequence[str], lines: Iterator[Sequence[str]], *, words: int = 1) -> Iterator[str]:
    """Yield a table whose first *words* columns are words, and the others numbers."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' if number < words else ' ---: ' for number in range(len(head)))}|"
    for line in lines:
        cells = (cell.replace("|", r"\|") for cell in line)
        yield f"| {' | '.join(cells)} |"


def _rows(work: Figures, phase: str, broken: Sequence[str]) -> Iterator[Sequence[str]]:
    results = by_tool(work)
    best = best_peer(results, phase)[1] if has_peer(results) else None
    for result in sorted((one for one in work["results"] if one[phase]), key=lambda one: value(one, phase, "wall")):
        tool, wall = result["tool"], value(result, phase, "wall")
        wrong = max(sample["wrong"] for sample in result[phase])
        notes = [f"{format_count(wrong, 'tag')} wrong"] if wrong else []
        notes += [f"exit {code}" for code in sorted({sample.get("code", 0) for sample in result[phase]} - {0})]
        notes += ["no working cache"] if any(sentence.startswith(f"{tool} ran") for sentence in broken) else []
        yield (
            f"**{tool}**" if tool.startswith(OWN) else f"*{tool}*" if is_floor(tool) else tool,
            f"{wall:.2f}",
            f"{wall / best:.2f}" if best else "–",
            f"{value(result, phase, 'cpu'):.2f}",
            f"{median_registries_cpu(result, phase):.2f}",
            f"{value(result, phase, 'peak'):.0f}",
            f"{value(result, phase, 'source'):,.0f} / {value(result, phase, 'destination'):,.0f}",
            f"{value(result, phase, 'source_bytes') / 1e6:,.1f}",
            f"{value(result, phase, 'written_bytes') / 1e6:,.1f}",
            ", ".join([str(len(result[phase])), *notes]),
        )


def _kinds(results: dict[str, Figures]) -> Iterator[Sequence[str]]:
    own, peer = results[OWN], results[best_peer(results, "cold")[0]]
    for side in ("source", "destination"):
        theirs, ours = peer["cold"][-1][side], own["cold"][-1][side]
        for kind in sorted({*theirs, *ours}):
            yield side, kind, f"{ours.get(kind, 0):,}", f"{theirs.get(kind, 0):,}"


SENTENCE = """{short}: with its defaults, imgsync needs {defaults:.1f} s for a first run, and with 64 images and connections {own:.1f} s.
The fastest other tool ({peer}) needs {wall:.1f} s.
"""

METHOD = """## How it is measured

`make bench` makes this page. It runs imgsync and similar tools (*peers*) with the same two registries. In each scenario below the tools take turns, and after
each run every tag is compared with the source's. A scenario may leave out tools that are known to be far behind.

- **cold**: the destination is empty. **unchanged**: the same command again, with nothing to copy.
- **wall s**, **CPU s** and **MiB**: medians of wall time, CPU time and the memory of the largest process. CPU and memory come from the kernel.
- **registries' CPU s**: the median CPU time of all registries. They share the processors with the tool, so no tool can be faster than this time divided by the
  number of processors.
- **× best peer**: wall time compared with the fastest peer that mirrored every tag correctly.
- **requests**: counted in the access logs of the registries.
- **MB read** and **MB written**: bytes that the source sent, and bytes that the destinations' processes wrote to their disks and to clients.
- **runs**: a peer ran only once if it mirrored a tag wrongly, or took more than 1.4 times as long as the best peer, both cold and unchanged.
- Tools in *italics* are no peers. They only move the bytes, without checks, and show the lower bound.
- **TLS**: both registries have a certificate, and all tools trust its authority. The registries offer HTTP/2. **token logins**: both registries send
  clients to a token server, and all tools read the login from Docker's `config.json`.

Machine: {machine}. All registries run on the same machine as the tools, so compare only the ratios within this page with other machines.{files}
The slow line is a proxy with 40 ms each way, 10 MiB/s per connection, and slow start for each connection (`benchmarks/line.py`).
"""


def order(works: dict[str, Figures]) -> dict[str, Figures]:
    """Return the scenarios in the order of `WORKS`; others come last."""
    places = {work.name: number for number, work in enumerate(WORKS)}
    return dict(sorted(works.items(), key=lambda item: places.get(item[0], len(places))))


def headline(works: dict[str, Figures]) -> Iterator[str]:
    """Yield the page's first sentences and chart, for the first scenario that has all three."""
    for name, work in works.items():
        results = by_tool(work)
        if {OWN, DEFAULTS} <= results.keys() and has_peer(results):
            peer, wall = best_peer(results, "cold")
            own, defaults = (value(results[tool], "cold", "wall") for tool in (OWN, DEFAULTS))
            yield SENTENCE.format(defaults=defaults, own=own, peer=peer, wall=wall, short=_shorten(work))
            yield show_chart(name, f"Wall time of each tool, for {work['title']}")
            yield ""
            return


def _shorten(work: Figures) -> str:
    """Return the short title of a scenario; figures of earlier benchmarks have none."""
    return work.get("short", work["title"])


def show_chart(name: str, alt: str) -> str:
    """Return the Markdown of a scenario's chart."""
    return f"""\
<picture>
  <source media="(max-width: 600px)" srcset="performance/{name}-narrow.svg">
  <img src="performance/{name}.svg" alt="{alt}">
</picture>"""


def lead(works: dict[str, Figures]) -> Iterator[str]:
    """Yield the table of the scenarios over TLS, one row each."""
    shown = {name: by_tool(works[name]) for name in _FIRST if name in works}
    lines = [
        (
            _shorten(works[name]),
            peer,
            f"{wall:.2f}",
            *(
                figure
                for tool in (DEFAULTS, OWN)
                for figure in (f"{value(results[tool], 'cold', 'wall'):.2f}", f"{value(results[tool], 'cold', 'wall') / wall:.2f}")
            ),
        )
        for name, results in shown.items()
        if {OWN, DEFAULTS} <= results.keys() and has_peer(results)
        for peer, wall in [best_peer(results, "cold")]
    ]
    if lines:
        yield from ("## TLS, a slow line, and the defaults", "", "Seconds for a first run, and how they compare with the best peer's.", "")
        yield from _table(("work", "best peer", "s", "imgsync (defaults) s", "×", "imgsync, 64 at once s", "×"), iter(lines), words=2)
        yield ""


def _describe_files(machine: Figures) -> str:
    """Return on what file system the destinations are; earlier figures do not say."""
    return f" The destinations' files are on {machine['files']}{' (memory)' if machine['files'] == 'tmpfs' else ''}." if "files" in machine else ""


def describe_tools(figures: Figures) -> Iterator[str]:
    """Yield the versions of all programs, and how each tool runs."""
    builds = figures.get("builds", {})
    yield from ("## Programs and settings", "")
    yield from _table(
        ("program", "version", "built as"),
        ((name, version, builds.get(name) or "–") for name, version in (figures["versions"] | figures.get("registries", {})).items()),
        words=3,
    )
    if figures.get("tools"):
        yield ""
        yield from _table(("tool", "how it runs"), ((name, facts["how"]) for name, facts in figures["tools"].items()), words=2)


def _scenario(name: str, work: Figures, tools: Figures) -> Iterator[str]:
    yield from ("", f"## {_shorten(work)}", "")
    if "short" in work:
        yield from (f"{work['title']}.", "")
    yield from (show_chart(name, f"Wall time of each tool, for {work['title']}"), "")
    broken = list(describe_broken_caches(work, tools))
    head = ("wall s", "× best peer", "CPU s", "registries' CPU s", "MiB", "requests source / destination", "MB read", "MB written", "runs")
    for phase in ("cold", "unchanged"):
        yield from _table((phase, *head), _rows(work, phase, broken))
        yield ""
    for sentence in broken:
        yield from (sentence, "")
    results = by_tool(work)
    if OWN in results and has_peer(results):
        peer = best_peer(results, "cold")[0]
        ours, theirs = (results[tool]["cold"][-1].get("http2", 0) for tool in (OWN, peer))
        http2 = f" {ours:,} of imgsync's requests and {theirs:,} of the peer's are HTTP/2." if ours or theirs else ""
        yield f"Requests by kind, cold, compared with the best peer ({peer}).{http2}"
        yield ""
        yield from _table(("side", "kind", "imgsync", "peer"), _kinds(results), words=2)


def page(figures: Figures) -> Iterator[str]:
    """Yield the lines of the page."""
    machine, works = figures["machine"], order(figures["works"])
    yield "# Performance\n"
    yield from headline(works)
    yield from lead(works)
    yield from ("## Goals", "")
    yield from _table(
        ("measure", "goal", "result", "reached"),
        ((what, goal, reached, "yes" if fine else "**no**") for what, goal, reached, fine in Goals(figures | {"works": works}).lines()),
        words=4,
    )
    yield ""
    described = f"{machine['processors']}, {machine['memory']}, Linux {machine['kernel']}, Python {machine['python']}"
    yield METHOD.format(machine=described, files=_describe_files(machine))
    yield from describe_tools(figures)
    for name, work in works.items():
        yield from _scenario(name, work, figures.get("tools", {}))


def main() -> None:
    from benchmarks.chart import chart

    figures = json.loads(Path(sys.argv[1]).read_text())
    folder = DOCS / "performance"
    folder.mkdir(exist_ok=True)
    for name, work in figures["works"].items():
        chart(name, work, folder)
    (DOCS / "performance.md").write_text("\n".join(page(figures)) + "\n")


if __name__ == "__main__":
    main()
