"""
Compare imgsync with similar tools (peers) on the same images and registries.

    make bench                                   everything, five runs each, then write docs/performance.md
    python -m benchmarks.run --only small --runs 2 --tool imgsync --tool skopeo
    python -m benchmarks.run --only small --tool imgsync --beside ../before/.venv/bin/imgsync
    python -m benchmarks.run --only shared --tls --token

Each tool runs twice, cold (empty destination) and unchanged, over loopback or a slow line. Requests are counted in the registries' access logs, and
written bytes in the kernel's figures for the destination processes. A run counts as wrong if its tags differ from the source's at the end. A peer that
is far behind the best one after the first round does not run again. A peer whose bytes show that its cache does not work is named.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import program
from benchmarks.peers import TOOLS, Job, Tool, is_floor, is_peer, other_imgsync
from benchmarks.programs import find_build, version
from benchmarks.registries import (
    Contents,
    Security,
    fill,
    has_registry,
    line,
    registry_programs,
    registry_versions,
    securing,
    serving_destination,
    serving_source,
)
from benchmarks.samples import Result, Sample, describe_broken_caches, median
from benchmarks.timing import timed
from benchmarks.works import WORKS, Work, over_tls, with_tokens
from tests.support.registry_process import LOGIN, Logged, RegistryProcess

# A peer that takes longer than the best one by this factor runs only once.
_BEHIND = 1.4
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 16 << 30


def bench(work: Work, tools: Sequence[Tool], contents: Contents, *, runs: int) -> Iterator[Result]:
    """
    Yield the results of each tool.

    The tools take turns, in the opposite order every other time, so that other load and the place in a round affect all of them.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsync-bench-")))
        security = stack.enter_context(securing(folder, work))
        source = stack.enter_context(serving_source(work.corpus, security))
        runner = _Bench(work, contents, security, source, stack.enter_context(line(work, source.host)))
        results = {tool.name: Result(tool.name, work.name) for tool in tools}
        for number in range(runs):
            for tool in reversed(tools) if number % 2 else tools:
                if number and _is_behind(results[tool.name], results.values()):
                    continue
                runner.run(tool, results[tool.name])
        yield from results.values()


def _is_behind(result: Result, all_results: Iterable[Result]) -> bool:
    """Return whether a peer is too slow to run again."""
    peers = [one for one in all_results if one.cold and is_peer(one.tool)]
    if not is_peer(result.tool) or not peers:
        return False
    return all(
        getattr(result, name)[0].wall > _BEHIND * min(getattr(one, name)[0].wall for one in peers) or getattr(result, name)[0].wrong
        for name in ("cold", "unchanged")
    )


class _Bench:
    """The source of one scenario, and how each tool's runs are measured."""

    def __init__(self, work: Work, contents: Contents, security: Security, source: RegistryProcess, seen: str) -> None:
        self._work, self._contents, self._security, self._source, self._seen = work, contents, security, source, seen

    def run(self, tool: Tool, result: Result) -> None:
        """Run *tool* on an empty destination, then again, and add the samples."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imgsync-bench-")))
            work, security = self._work, self._security
            registries = [stack.enter_context(serving_destination(folder / f"destination{number}", work, security)) for number in range(work.destinations)]
            hosts = [stack.enter_context(line(work, one.host, side="destination")) for one in registries]
            place = folder / "place"
            place.mkdir()
            job = Job(self._seen, tuple(hosts), work.corpus, tuple(self._contents.digests), place)
            job = replace(job, ca=security.tls and security.tls.ca, token_server=security.token_server, login=LOGIN if work.token else None)
            job.log_in()
            command = tool.command(job)
            result.cold.append(self._measure(tool, command, job, registries))
            if not is_floor(tool.name):
                result.unchanged.append(self._measure(tool, command, job, registries))

    def _measure(self, tool: Tool, command: Sequence[str], job: Job, registries: Sequence[RegistryProcess]) -> Sample:
        marks = self._source.mark(), [one.mark() for one in registries]
        written, used = sum(map(_written, registries)), _cpu_seconds(self._source, *registries)
        figures = timed([shutil.which(command[0]) or command[0], *command[1:]], cwd=job.folder, environment=job.environment)
        asked = self._source.requests(marks[0])
        got = [request for one, mark in zip(registries, marks[1], strict=True) for request in one.requests(mark)]
        moved = self._source.sent(marks[0]), sum(map(_written, registries)) - written
        used = _cpu_seconds(self._source, *registries) - used
        expected = self._contents.digests
        wrong = sum(digest != expected[tag] for one in registries for tag, digest in one.digests(expected).items())
        if figures.code or wrong:
            print(f"  {tool.name}: exit {figures.code}, {wrong} tags wrong: {(job.folder / 'err').read_text()[-300:].strip()}", file=sys.stderr)
        http2 = sum(one.protocol == "HTTP/2.0" for one in (*asked, *got))
        return Sample(figures.wall, figures.cpu, figures.peak, _kinds(asked), _kinds(got), *moved, wrong, http2, figures.code, used)


def _written(registry: RegistryProcess) -> int:
    """Return the bytes that the registry wrote to disk and to clients."""
    books = Path(f"/proc/{registry.pid}/io").read_text()
    return int(books.partition("wchar:")[2].split()[0])


def _cpu_seconds(*registries: RegistryProcess) -> float:
    """Return the CPU time that the registries have used."""
    books = [Path(f"/proc/{registry.pid}/stat").read_text().rpartition(")")[2].split() for registry in registries]
    # The fields after the name begin with the third: utime is the 14th, stime the 15th.
    return sum(int(fields[11]) + int(fields[12]) for fields in books) / os.sysconf("SC_CLK_TCK")


def _kinds(requests: Sequence[Logged]) -> dict[str, int]:
    """Count requests by method and subject; `GET ping` means /v2/."""
    return dict(Counter(f"{one.method} {_subject(one.path)}" for one in requests).most_common())


def _subject(path: str) -> str:
    names = {"/blobs/uploads/": "upload", "/blobs/": "blob", "/manifests/": "manifest", "/tags/list": "tags", "/referrers/": "referrers"}
    return next((name for part, name in names.items() if part in path), "ping")


def show(work: Work, results: Sequence[Result]) -> None:
    print(f"\n{work.title}")
    for name in ("cold", "unchanged"):
        print(f"  {name:<26} {'wall s':>8} {'ratio':>6} {'CPU s':>7} {'MiB':>6} {'source':>7} {'dest.':>7} {'MB read':>8} {'written':>8} runs wrong")
        measured = [one for one in results if getattr(one, name)]
        best = min((median(getattr(one, name), "wall") for one in measured if is_peer(one.tool)), default=0.0)
        for one in sorted(measured, key=lambda result: median(getattr(result, name), "wall")):
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
    return {
        "processors": f"{os.cpu_count()} × {model}",
        "memory": f"{memory} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "files": find_file_system(Path(tempfile.gettempdir())),
    }


def find_file_system(folder: Path) -> str:
    """Return the type of the file system that *folder* is on, such as `tmpfs`."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    # The last one of several at the same place hides the others.
    return max(((place, kind) for place, kind in mounts if folder.resolve().is_relative_to(place)), key=lambda mount: len(mount[0]), default=("", "?"))[1]


def find_folder() -> Path:
    """Return where the destinations' files go: memory if there is room."""
    # On some disks, the search for free inodes takes a quarter of the registries' CPU time, whichever tool runs.
    has_room = _MEMORY.is_dir() and find_file_system(_MEMORY) == "tmpfs" and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    return _MEMORY if has_room else Path(tempfile.gettempdir())


def describe(tools: Sequence[Tool]) -> dict[str, Any]:
    """Return what the figures say about the machine, the programs and the tools."""
    programs = {Path(tool.program).name: tool.program for tool in tools if not tool.name.startswith("relay")}
    return {
        "machine": machine(),
        "versions": {name: version(path) for name, path in programs.items()},
        "builds": {name: find_build(path) for name, path in (programs | registry_programs()).items()},
        "registries": registry_versions(),
        "tools": {tool.name: {"how": tool.how, "caches": tool.caches} for tool in tools},
        "works": {},
    }


def select(names: Sequence[str] | None, *, tls: bool, token: bool) -> list[Work]:
    """Return the scenarios of these names (None: all) in the chosen modes, each once."""
    chosen = [work for work in WORKS if not names or work.name in names]
    if tls:
        chosen = [over_tls(work) for work in chosen]
    if token:
        chosen = [with_tokens(work) for work in chosen if work.destination != "zot"]
    return list({work.name: work for work in chosen}.values())


def merge(earlier: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return figures of this run with those of an earlier part of it."""
    parts = {name: {**earlier.get(name, {}), **part} for name, part in document.items() if isinstance(part, dict)}
    return {**earlier, **parts}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", action="append", choices=[*(work.name for work in WORKS), "program"], help="run only this scenario (repeatable); default: all"
    )
    parser.add_argument("--tool", action="append", help="run only tools whose name starts with this (repeatable); default: all that are installed")
    parser.add_argument("--tls", action="store_true", help="run the chosen scenarios with TLS on both sides")
    parser.add_argument("--token", action="store_true", help="run the chosen scenarios with logins at a token server")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--beside", metavar="PROGRAM", help="also run the imgsync of another checkout, such as ../before/.venv/bin/imgsync")
    parser.add_argument("--folder", type=Path, default=find_folder(), help="where the destinations' files are; default: memory if there is room (%(default)s)")
    parser.add_argument("--output", type=Path, help="write all figures to this JSON file")
    return parser.parse_args()


def main() -> None:
    options = _parse()
    tempfile.tempdir = str(options.folder)
    own = (*TOOLS, *(other_imgsync(options.beside) if options.beside else ()))
    tools = [tool for tool in own if tool.found and (not options.tool or any(tool.name.startswith(name) for name in options.tool))]
    document = describe(tools)
    print(f"{document['machine']}\n{document['versions']}, median of {options.runs} runs")
    if options.output and options.output.exists():
        # The file holds another part of the same run: keep it.
        document = merge(json.loads(options.output.read_text()), document)
    for work in select(options.only, tls=options.tls, token=options.token):
        if not has_registry(work.destination):
            print(f"\n{work.title}: left out, because {work.destination} is not on PATH")
            continue
        contents = fill(work.corpus)
        results = list(bench(work, [tool for tool in tools if tool.fits(work)], contents, runs=options.runs))
        show(work, results)
        found = {"title": work.title, "short": work.short, "unique_bytes": contents.unique_bytes, "results": [asdict(result) for result in results]}
        for sentence in describe_broken_caches(found, document["tools"]):
            print(f"  {sentence}")
        document["works"][work.name] = found
        _write(options.output, document)
    if not options.only or "program" in options.only:
        document["program"] = program.rows(options.runs)
        _write(options.output, document)


def _write(output: Path | None, document: dict[str, Any]) -> None:
    if output is not None:
        output.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
