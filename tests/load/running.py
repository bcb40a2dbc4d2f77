"""Start quick registries and the self-measuring program."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.images import request
from tests.support.run_imgsync import Workplace

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Quick:
    """A `tests.load.quick_registry`, by its host."""

    host: str

    def tell(self, order: str) -> Any:
        """Give an order of the harness (`refuse?share=0.5&seed=1`), and return what it answers."""
        status, _, body = request(self.host, "POST", f"/-/{order}")
        assert status == 200
        return json.loads(body)

    def counts(self) -> dict[str, int]:
        """Return requests by method, `refused`, and stored `blobs`."""
        return dict(self.tell("told"))

    def asked(self) -> int:
        """Return how many requests came in all."""
        return sum(count for name, count in self.counts().items() if name.isupper())

    def tags(self) -> dict[str, dict[str, str]]:
        """Return what each pushed tag names, by repository."""
        return dict(self.tell("tags"))


@contextmanager
def quick_registry(repositories: int = 0, tags: int = 0) -> Iterator[Quick]:
    """Start a registry with generated repositories and tags."""
    command = [sys.executable, "-m", "tests.load.quick_registry", str(repositories), str(tags)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Quick(f"127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


@contextmanager
def listed_registry(tags: int) -> Iterator[str]:
    """Start a registry that lists *tags* in each repository, and return its host."""
    command = [sys.executable, "-m", "tests.load.listed_registry", str(tags)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def names(repositories: int) -> list[str]:
    """Return the names of the repositories that a quick registry holds."""
    return [f"load/r{number:04}" for number in range(repositories)]


@dataclass(frozen=True, slots=True)
class Round:
    """One run: exit code, report, measurements, and the values at its end."""

    code: int
    report: Any
    samples: tuple[Mapping[str, float], ...]
    after: Mapping[str, float]

    @property
    def most_descriptors(self) -> int:
        """Return the most that were open at a time."""
        return max(int(one["descriptors"]) for one in self.samples)

    @property
    def peak_mib(self) -> float:
        """Return the most memory that was resident, in MiB."""
        return max(one["rss_kib"] for one in (*self.samples, self.after)) / 1024


class Observed:
    """The self-measuring program, for one run after another."""

    def __init__(self, workplace: Workplace, rounds: int, *arguments: str) -> None:
        """Start the first round of `imgsync ARGUMENT…` in *workplace*."""
        self._file = workplace.folder / "observed.jsonl"
        self._out = (workplace.folder / "observed.out").open("w+")
        self._told = 0
        command = [sys.executable, "-m", "tests.load.observed", str(self._file), str(rounds), *arguments]
        environment = workplace.environment({"PYTHONPATH": str(_ROOT)})
        log = (workplace.folder / "observed.log").open("w")
        self._process = subprocess.Popen(command, cwd=workplace.folder, env=environment, stdin=subprocess.PIPE, stdout=self._out, stderr=log, text=True)
        log.close()
        self._begun = False

    def __enter__(self) -> Observed:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, if it has not."""
        self._process.kill()
        self._process.communicate()
        self._out.close()

    def round(self, *, timeout: float) -> Round:
        """Return what the next round came to."""
        if self._begun:
            assert self._process.stdin is not None
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        self._begun = True
        lines = self._lines(timeout)
        self._out.seek(0)
        report = json.loads(self._out.read().splitlines()[-1])
        samples = [json.loads(line) for line in lines]
        return Round(int(samples[-1]["code"]), report, tuple(samples[:-1]), samples[-1])

    def _lines(self, timeout: float) -> list[str]:
        """Return the lines up to the end of a round."""
        ends = time.monotonic() + timeout
        while True:
            ended = self._process.poll() is not None
            lines = self._file.read_text().splitlines()[self._told :] if self._file.exists() else []
            # A last beat may come after it.
            end = next((number for number, line in enumerate(lines, 1) if '"event": "round"' in line and line.endswith("}")), 0)
            if end:
                self._told += end
                return lines[:end]
            assert not ended, "the program ended by itself"
            assert time.monotonic() < ends, f"the round still runs after {timeout} s"
            time.sleep(0.02)
