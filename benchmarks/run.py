"""
imgsync beside its peers: the same images, the same two registries, cold and unchanged, over loopback and over a long thin line.

    make bench                                   everything, five runs each, and docs/performance.md anew
    python -m benchmarks.run --only small --runs 2 --tool imgsync --tool skopeo

Requests are counted in the registries' own access logs, bytes written in the kernel's books of the destinations; a run whose tags differ from
the source's in the end counts as wrong. A peer that is far behind the best one after the first round is not run again: its figure is of one run.
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
from benchmarks.peers import TOOLS, Job, Tool, version
from benchmarks.timing import timed
from tests.registry_process import Logged, RegistryProcess, running_registry

_KEPT = Path(__file__).parent / ".corpora"
# A peer that takes so many times as long as the best one is run once.
_BEHIND = 1.4


@dataclass(frozen=True, slots=True)
class Work:
    """One line of the tables: what is mirrored, over which line (oneway ms, MiB/s of each connection; which sides), to how many destinations, with us alone."""

    name: str
    corpus: Corpus
    line: tuple[float, float] | None = None
    sides: str = "both"
    destinations: int = 1
    own: bool = False

    @property
    def title(self) -> str:
        """Return the work in words."""
        where = "loopback"
        if self.line is not None:
            far = {"both": "both registries", "source": "the source"}[self.sides]
            where = f"long thin line to {far} ({self.line[0]:g} ms each way, {self.line[1]:g} MiB/s a connection)"
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
    """One run: figures, requests at each side by kind, bytes read from the source, and how many tags were wrong afterwards."""

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
    """All runs of one tool on one work."""

    tool: str
    work: str
    cold: list[Sample] = field(default_factory=list)
    unchanged: list[Sample] = field(default_factory=list)


def bench(work: Work, tools: Sequence[Tool], *, runs: int) -> Iterator[Result]:
    """Yield what each tool came to; the runs of the tools alternate, so that a busy minute hits all."""
    with _source(work.corpus) as source, _line(work, source.host) as seen:
        tags = tuple((repository, tag) for repository in work.corpus.repositories for tag in source.tags(repository))
        results = {tool.name: Result(tool.name, work.name) for tool in tools}
        for number in range(runs):
            for tool in tools:
                if number and _is_behind(results[tool.name], results.values()):
                    continue
                cold, unchanged = _run(work, tool, source, seen, tags)
                results[tool.name].cold.append(cold)
                results[tool.name].unchanged.append(unchanged)
        yield from results.values()


def is_peer(tool: str) -> bool:
    """Return whether the tool of this name does what we do: not we ourselves, and not a mere pipe of bytes."""
    return not tool.startswith(("imgsync", "curl"))


def _is_behind(result: Result, all_results: Iterable[Result]) -> bool:
    """Return whether a peer is too far behind the best one, cold and unchanged, to be worth another run."""
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
        wanted = source.digests(tags)
        command = tool.command(Job(seen, tuple(hosts), work.corpus, tags, place))
        samples = []
        for _ in range(2):
            marks = source.mark(), [one.mark() for one in registries]
            written = sum(map(_written, registries))
            figures = timed([shutil.which(command[0]) or command[0], *command[1:]], cwd=place)
            asked = source.requests(marks[0])
            got = [request for one, mark in zip(registries, marks[1], strict=True) for request in one.requests(mark)]
            wrong = sum(digest != wanted[tag] for one in registries for tag, digest in one.digests(tags).items())
            if figures.code or wrong:
                print(f"  {tool.name}: exit {figures.code}, {wrong} tags wrong: {(place / 'err').read_text()[-300:].strip()}", file=sys.stderr)
            moved = source.sent(marks[0]), sum(map(_written, registries)) - written
            samples.append(Sample(figures.wall, figures.cpu, figures.peak, _kinds(asked), _kinds(got), *moved, wrong))
    return samples[0], samples[1]


def _written(registry: RegistryProcess) -> int:
    """Return how many bytes the registry's process wrote so far, be it to its disk or to whoever asked."""
    books = Path(f"/proc/{registry.pid}/io").read_text()
    return int(books.partition("wchar:")[2].split()[0])


def _kinds(requests: Sequence[Logged]) -> dict[str, int]:
    """Count requests by method and what they are about; `GET ping` is one to /v2/."""
    return dict(Counter(f"{one.method} {_subject(one.path)}" for one in requests).most_common())


def _subject(path: str) -> str:
    names = {"/blobs/uploads/": "upload", "/blobs/": "blob", "/manifests/": "manifest", "/tags/list": "tags", "/referrers/": "referrers"}
    return next((name for part, name in names.items() if part in path), "ping")


@contextlib.contextmanager
def _source(corpus: Corpus) -> Iterator[RegistryProcess]:
    """Give a registry that holds *corpus*, kept from one run of the benchmark to the next."""
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
    """Give HOST:PORT by which *host* is to be reached: its own, or a line's."""
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
    parser.add_argument("--only", action="append", choices=[*(work.name for work in WORKS), "program"], help="this work (repeatable); else all")
    parser.add_argument("--tool", action="append", help="tools whose name begins so (repeatable); else all that are found")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write every figure there, as JSON")
    options = parser.parse_args()
    tools = [tool for tool in TOOLS if tool.found and (not options.tool or any(tool.name.startswith(name) for name in options.tool))]
    versions = {tool.program: version(tool) for tool in tools}
    print(f"{machine()}\n{ {Path(program).name: found for program, found in versions.items()} }, median of {options.runs} runs")
    document: dict[str, Any] = {"machine": machine(), "versions": {Path(program).name: found for program, found in versions.items()}, "works": {}}
    if options.output and options.output.exists():
        # Another part of the same run.
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
