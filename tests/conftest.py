"""Fixtures: two real registries, proxies before them, and the program as a process."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import FaultProxy
from tests.registry_process import docker_registry

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Ran:
    """What a run of imgsync came to."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict:
        return json.loads(self.stdout)

    @property
    def logs(self) -> list[dict]:
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    def events(self, name: str) -> list[dict]:
        return [line for line in self.logs if line["event"] == name]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("source")) as host:
        yield host


@pytest.fixture(scope="session")
def second_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("destination")) as host:
        yield host


@pytest.fixture
def source(registry: str) -> Iterator[FaultProxy]:
    with FaultProxy(registry) as proxy:
        yield proxy


@pytest.fixture
def destination(second_registry: str) -> Iterator[FaultProxy]:
    with FaultProxy(second_registry) as proxy:
        yield proxy


@pytest.fixture
def name() -> str:
    """A repository prefix that no other test uses."""
    return f"t{next(_numbers)}"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "LANG", "PYTHONPATH", "COVERAGE_PROCESS_START"}}
    return {**kept, "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}


@pytest.fixture
def imgsync(tmp_path: Path, environ: dict[str, str]) -> Callable[..., Ran]:
    def run(*arguments: str, env: dict[str, str] | None = None, timeout: float = 60) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "imgsync", *arguments],
            cwd=tmp_path,
            env={**environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start_imgsync(tmp_path: Path, environ: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-m", "imgsync", *arguments], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file below the working folder of the program."""

    def write_file(path: str, text: str) -> Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    return write_file


@pytest.fixture
def declare(write: Callable[[str, str], Path], source: FaultProxy, destination: FaultProxy) -> Callable[..., None]:
    """Declare one mirror from source to destination, both plain http; `settings` is YAML of the mirror."""

    def declare_mirror(repositories: str, settings: str = "", *, trust: str = "", namespaces: str = "[]") -> None:
        lines = "".join(f"    {line}\n" for line in settings.strip().splitlines())
        write(
            "mirrors.d/a.yaml",
            f"version: 1\nmirrors:\n  - name: a\n    source: {{registry: '{source.host}', repositories: {repositories}, namespaces: {namespaces}}}\n"
            f"    destinations: ['{destination.host}/m']\n    retry: {{attempts: 2, interval: 0s}}\n{lines}",
        )
        write("registries.yaml", f"version: 1\nregistries:\n  {source.host}: {{tls: false}}\n  {destination.host}: {{tls: false}}\n{trust}")

    return declare_mirror
