"""
Compare a fleet with one process: many small images between two registries on one machine.

    python -m benchmarks.fleet_copy [--runs 3] [--repositories 200]

One process, and a coordinator with two workers, in turn. All share this machine with RabbitMQ and both registries. docs/explanation/scale.md shows the
result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import corpora
from benchmarks.registries import Debian, Security, fill, serving_source
from benchmarks.timing import Figures, timed
from tests.support import rabbitmq
from tests.support.registry_process import running_registry

_WORKERS = 2
_PROGRAM = str(Path(sys.executable).with_name("imgsync"))
_TICKS = os.sysconf("SC_CLK_TCK")


def declare(folder: Path, corpus: corpora.Corpus, source: str, destination: str) -> None:
    """Declare the mirror of *corpus*."""
    (folder / "mirrors.d").mkdir(exist_ok=True)
    mirror = {"name": "a", "source": {"registry": source, "repositories": list(corpus.repositories)}, "destinations": [f"{destination}/m"]}
    (folder / "mirrors.d" / "a.yaml").write_text(json.dumps({"version": 1, "mirrors": [mirror]}), encoding="utf-8")
    settings = {"version": 1, "registries": {host: {"tls": False} for host in (source, destination)}}
    (folder / "registries.yaml").write_text(json.dumps(settings), encoding="utf-8")


@contextlib.contextmanager
def working(folder: Path, broker: rabbitmq.Broker) -> Iterator[list[int]]:
    """Run the workers within the block; yield their process ids."""
    command = [_PROGRAM, "worker", "--broker", broker.url, "--log-level", "error"]
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(subprocess.Popen(command, cwd=folder)) for _ in range(_WORKERS)]
        stack.callback(lambda: [process.kill() for process in processes])
        while not _are_consuming(broker):
            time.sleep(0.2)
        yield [process.pid for process in processes]


def _are_consuming(broker: rabbitmq.Broker) -> bool:
    with contextlib.suppress(Exception):
        return broker.count_consumers("imgsync") >= _WORKERS
    return False


def _read_cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measure(folder: Path, corpus: corpora.Corpus, source: str, broker: rabbitmq.Broker | None) -> Figures:
    """Return wall and processor time of one copy to an empty registry, by the workers if there is a *broker*."""
    with tempfile.TemporaryDirectory(dir=folder) as name, contextlib.ExitStack() as stack:
        own = Path(name)
        destination = stack.enter_context(running_registry(own / "destination", kind=Debian))
        declare(own, corpus, source, destination.host)
        options = [] if broker is None else ["--broker", broker.url]
        workers = [] if broker is None else stack.enter_context(working(own, broker))
        before = sum(map(_read_cpu_seconds, workers))
        found = timed([_PROGRAM, "apply", "--yes", "--log-level", "error", *options], cwd=own)
        if found.code:
            raise RuntimeError((own / "err").read_text(encoding="utf-8")[-2000:])
        return Figures(found.wall, found.cpu + sum(map(_read_cpu_seconds, workers)) - before, found.peak, found.code)


def main() -> None:
    """Print the medians of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--repositories", type=int, default=200)
    options = parser.parse_args()
    # So that the broker ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    corpus = corpora.small(options.repositories)
    fill(corpus)
    with tempfile.TemporaryDirectory(prefix="imgsync-fleet-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / "broker").mkdir()
        broker = rabbitmq.start(folder / "broker", os.getpid())
        stack.callback(rabbitmq.stop, broker)
        source = stack.enter_context(serving_source(corpus, Security())).host
        alone, together = [], []
        for _ in range(options.runs):
            alone.append(measure(folder, corpus, source, None))
            together.append(measure(folder, corpus, source, broker))
    print(f"{corpus.title}\n\n| | wall | processor time |\n|---|---|---|")
    for title, found in (("one process", alone), (f"a coordinator and {_WORKERS} workers", together)):
        print(f"| {title} | {statistics.median(one.wall for one in found):.1f} s | {statistics.median(one.cpu for one in found):.1f} s |")


if __name__ == "__main__":
    main()
