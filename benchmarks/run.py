"""
Compare imgsync with similar tools (peers) on the same images and registries.

    make bench                                   everything, five runs each, then write docs/performance.md
    python -m benchmarks.run --only small --runs 2 --tool imgsync --tool skopeo
    python -m benchmarks.run --only small --tool imgsync --beside ../before/.venv/bin/imgsync

Each tool runs twice, cold (empty destination) and unchanged, over loopback or a slow line. Requests are counted in the registries' access logs, and
written bytes in the kernel's figures for the destination processes. A run counts as wrong if its tags differ from the source's at the end. A peer that
is far behind the best one after the first round does not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import corpora, program
from benchmarks.corpora import Corpus
from benchmarks.peers import TOOLS, Job, Tool, other_imgsync, version
from benchmarks.timing import timed
from tests.support.registry_process import Logged, RegistryProcess, running_registry

_KEPT = Path(__file__).parent / ".corpora"
# A peer that takes longer than the best one by this factor runs only once.
_BEHIND = 1.4


@dataclass(frozen=True, slots=True)
class Work:
    """
    One scenario of the benchmark.

    `line` is the slow line, one-way ms and MiB/s per connection, and `sides` says which sides use it. `own` scenarios run imgsync only.
    """

    name: str
    corpus: Corpus
    line: tuple[float, float] | None = None
    sides: str = "both"
    destinations: int = 1
    own: bool = False

    @property
    def title(self) -> str:
        """Return the title of the scenario."""
        where = "loopback"
        if self.line is not None:
            far = {"both": "both registries", "source": "the source"}[self.sides]
            where = f"slow line to {far} ({self.line[0]:g} ms each way, {self.line[1]:g} MiB/s per connection)"
        return f"{self.corpus.title}; {where}" + (f"; {self.destinations} destinations at once" if self.destinations > 1 else "")


_LONG = (40.0, 10.0)
WORKS = (
    Work("small", corpora.small()),
    Work("shared", corpora.shared()),
    Work("large", corpora.large()),
    Work("multi", corpora.multi()),
    Work("small-line", corpora.small(8, 5), _LONG),
    Work("shared-line", corpora.shared(10), _LONG),
    Work("large-line", corpora.large(3, 64), _LONG, "source"),
    Work("three", corpora.large(4, 64), destinations=3),
    Work("one", corpora.large(4, 64), own=True),
    Work("single", corpora.small(1, 1), own=True),
)


@dataclass(slots=True)
class Sample:
    """One run: figures, requests by kind, bytes moved, and wrong tags."""

    wall: float
    cpu: float
    peak: float
    source: dict[str, int]
    destination: dict[str, int]
    source_bytes: int
    written_bytes: int
    wrong: int = 0


@dataclass(slots=True)
class Result:
    """All runs of one tool in one scenario."""

    tool: str
    work: str
    cold: list[Sample] = field(default_factory=list)
    unchanged: list[Sample] = field(default_factory=list)


def bench(work: Work, tools: Sequence[Tool], *, runs: int) -> Iterator[Result]:
    """
    Yield the results of each tool.

    The tools take turns, in the opposite order every other time, so that other load and the place in a round affect all of them.
    """
    with _source(work.corpus) as source, _line(work, source.host) as seen:
        tags = tuple((repository, tag) for repository in work.corpus.repositories for tag in source.tags(repository))
        results = {tool.name: Result(tool.name, work.name) for tool in tools}
        for number in range(runs):
            for tool in reversed(tools) if number % 2 else tools:
                if number and _is_behind(results[tool.name], results.values()):
                    continue
                cold, unchanged = _run(work, tool, source, seen, tags)
                results[tool.name].cold.append(cold)
                results[tool.name].unchanged.append(unchanged)
        yield from results.values()


def is_peer(tool: str) -> bool:
    """Return whether *tool* is a similar tool: not imgsync, not curl."""
    return not tool.startswith(("imgsync", "curl"))


def _is_behind(result: Result, all_results: Iterable[Result]) -> bool:
    """Return whether a peer is too slow to run again."""
    peers = [one for one in all_results if one.cold and is_peer(one.tool)]
    if not is_peer(result.tool) or not peers:
        return False
    return all(
        getattr(result, name)[0].wall > _BEHIND * min(getattr(one, name)[0].wall for one in peers) or getattr(result, name)[0].wrong
        for name in ("cold", "unchanged")
    )


def _run(work: Work, tool: Tool, source: RegistryProcess, seen: str, tags: tuple[tuple[str, str], ...]) -> tuple[Sample, Sample]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsync-bench-")))
        registries = [stack.enter_context(running_registry(folder / f"destination{number}")) for number in range(work.destinations)]
        hosts = [stack.enter_context(_line(work, one.host, side="destination")) for one in registries]
        place = folder / "place"
        place.mkdir()
        expected = source.digests(tags)
        command = tool.command(Job(seen, tuple(hosts), work.corpus, tags, place))
        samples = []
        for _ in range(2):
            marks = source.mark(), [one.mark() for one in registries]
            written = sum(map(_written, registries))
            figures = timed([shutil.which(command[0]) or command[0], *command[1:]], cwd=place)
            asked = source.requests(marks[0])
            got = [request for one, mark in zip(registries, marks[1], strict=True) for request in one.requests(mark)]
            wrong = sum(digest != expected[tag] for one in registries for tag, digest in one.digests(tags).items())
            if figures.code or wrong:
                print(f"  {tool.name}: exit {figures.code}, {wrong} tags wrong: {(place / 'err').read_text()[-300:].strip()}", file=sys.stderr)
            moved = source.sent(marks[0]), sum(map(_written, registries)) - written
            samples.append(Sample(figures.wall, figures.cpu, figures.peak, _kinds(asked), _kinds(got), *moved, wrong))
    return samples[0], samples[1]


def _written(registry: RegistryProcess) -> int:
    """Return the bytes that the registry wrote to disk and to clients."""
    books = Path(f"/proc/{registry.pid}/io").read_text()
    return int(books.partition("wchar:")[2].split()[0])


def _kinds(requests: Sequence[Logged]) -> dict[str, int]:
    """Count requests by method and subject; `GET ping` means /v2/."""
    return dict(Counter(f"{one.method} {_subject(one.path)}" for one in requests).most_common())


def _subject(path: str) -> str:
    names = {"/blobs/uploads/": "upload", "/blobs/": "blob", "/manifests/": "manifest", "/tags/list": "tags", "/referrers/": "referrers"}
    return next((name for part, name in names.items() if part in path), "ping")


@contextlib.contextmanager
def _source(corpus: Corpus) -> Iterator[RegistryProcess]:
    """Start a registry that holds *corpus*, which is kept for later benchmarks."""
    folder = _KEPT / corpus.name
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
    with running_registry(folder) as registry:
        if not ready.exists():
            corpus.push(registry.host)
            ready.touch()
        yield registry


@contextlib.contextmanager
def _line(work: Work, host: str, *, side: str = "source") -> Iterator[str]:
    """Return the HOST:PORT that tools use to reach *host*."""
    if work.line is None or work.sides not in {"both", side}:
        yield host
        return
    command = [sys.executable, "-m", "benchmarks.line", *(f"{figure:g}" for figure in work.line), host]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def median(samples: Sequence[Sample], name: str) -> float:
    """Return the median of one figure."""
    return statistics.median(getattr(sample, name) for sample in samples)


def show(work: Work, results: Sequence[Result]) -> None:
    print(f"\n{work.title}")
    for name in ("cold", "unchanged"):
        print(f"  {name:<26} {'wall s':>8} {'ratio':>6} {'CPU s':>7} {'MiB':>6} {'source':>7} {'dest.':>7} {'MB read':>8} {'written':>8} runs wrong")
        peers = [median(getattr(one, name), "wall") for one in results if is_peer(one.tool)]
        best = min(peers, default=0.0)
        for one in sorted(results, key=lambda result: median(getattr(result, name), "wall")):
            samples = getattr(one, name)
            last = samples[-1]
            wall = median(samples, "wall")
            asked, got = sum(last.source.values()), sum(last.destination.values())
            ratio = f"{wall / best:6.2f}" if best else "     –"
            used = f"{median(samples, 'cpu'):7.2f} {median(samples, 'peak'):6.0f}"
            moved = f"{last.source_bytes / 1e6:8.1f} {last.written_bytes / 1e6:8.1f}"
            print(f"  {one.tool:<26} {wall:8.2f} {ratio} {used} {asked:7} {got:7} {moved} {len(samples):4} {last.wrong:5}", flush=True)


def machine() -> dict[str, str]:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    return {"processors": f"{os.cpu_count()} × {model}", "memory": f"{memory} GiB", "kernel": platform.release(), "python": platform.python_version()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=[*(work.name for work in WORKS), "program"], help="run only this scenario (repeatable); default: all"
    )
    parser.add_argument("--tool", action="append", help="run only tools whose name starts with this (repeatable); default: all that are installed")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", metavar="PROGRAM", help="also run the imgsync of another checkout, such as ../before/.venv/bin/imgsync")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    options = parser.parse_args()
    own = (*TOOLS, *(other_imgsync(options.beside) if options.beside else ()))
    tools = [tool for tool in own if tool.found and (not options.tool or any(tool.name.startswith(name) for name in options.tool))]
    versions = {tool.program: version(tool) for tool in tools}
    print(f"{machine()}\n{ {Path(program).name: found for program, found in versions.items()} }, median of {options.runs} runs")
    document: dict[str, Any] = {"machine": machine(), "versions": {Path(program).name: found for program, found in versions.items()}, "works": {}}
    if options.output and options.output.exists():
        # The file holds another part of the same run: keep it.
        earlier = json.loads(options.output.read_text())
        document = {**earlier, "machine": document["machine"], "versions": {**earlier["versions"], **document["versions"]}}
    for work in WORKS:
        if options.only and work.name not in options.only:
            continue
        able = [tool for tool in tools if tool.fits(work.corpus, work.destinations) and (not work.own or tool.name.startswith("imgsync"))]
        results = list(bench(work, able, runs=options.runs))
        show(work, results)
        document["works"][work.name] = {"title": work.title, "results": [asdict(result) for result in results]}
        _write(options.output, document)
    if not options.only or "program" in options.only:
        document["program"] = program.rows(options.runs)
        _write(options.output, document)


def _write(output: Path | None, document: dict[str, Any]) -> None:
    if output is not None:
        output.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
