"""imgsync as a process, in a clean environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.support.canary import Watched

_ROOT = Path(__file__).parents[2]


class Host(Protocol):
    """Anything with a HOST:PORT: a registry, a proxy before one."""

    @property
    def host(self) -> str:
        """Return HOST:PORT."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run; `peak_bytes` is its most memory, with shared pages."""

    code: int
    stdout: str
    stderr: str
    peak_bytes: int = 0

    @property
    def json(self) -> Any:
        """Return stdout as the one JSON document it must be."""
        return json.loads(self.stdout)

    @property
    def logs(self) -> list[dict[str, Any]]:
        """Return stderr as JSON lines, each of which must parse."""
        return [json.loads(line) for line in self.stderr.splitlines()]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        return [line for line in self.logs if line["event"] == name]


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder to run imgsync in, without the developer's settings."""

    folder: Path

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a run."""
        # TMPDIR is in memory, see `tests/conftest.py`.
        kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START", "TMPDIR") if name in os.environ}
        own = {"HOME": str(self.folder / "home"), "DOCKER_CONFIG": str(self.folder / "docker"), "LANG": "C.UTF-8", "TZ": "UTC", "COLUMNS": "200"}
        return kept | own | dict(extra or {})

    def run(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        input: str | None = None,  # noqa: A002 - as subprocess names it
        timeout: float = 60,
    ) -> Result:
        """Run imgsync to its end."""
        process = self.start(*arguments, env=env, cwd=cwd)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"imgsync {' '.join(map(str, arguments))} still runs after {timeout} s\n{out}\n{err}") from None
        return Result(process.returncode, out, err, getattr(process, "peak_bytes", 0))

    def start(self, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start imgsync; the caller waits for it (`finish`)."""
        return Watched([str(argument) for argument in arguments], cwd=cwd or self.folder, env=self.environment(env), folder=self.folder)

    def start_with(self, code: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start imgsync in a new process that runs *code* first, after gevent has patched it."""
        door = "from imgsync import __main__ as door\ndoor._patch_sockets()\n"
        command = [sys.executable, "-c", f"{door}{textwrap.dedent(code)}\ndoor.main()", *arguments]
        environment = self.environment({"PYTHONPATH": str(_ROOT)} | dict(env or {}))
        return subprocess.Popen(command, cwd=self.folder, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def mirror_file(self, text: str, name: str = "mirrors.d/mirror.yaml") -> Path:
        """Write *text*, dedented, as a file of declarations; return its path."""
        return self._write(name, text)

    def registries_file(self, text: str, name: str = "registries.yaml") -> Path:
        """Write *text*, dedented, as registries.yaml; return its path."""
        return self._write(name, text)

    def allow_plain_http(self, *registries: Host | str, settings: Mapping[str, Mapping[str, object]] | None = None) -> Path:
        """Write registries.yaml with plain http for *registries* and extra *settings*."""
        hosts = [registry if isinstance(registry, str) else registry.host for registry in registries]
        entries = {host: {"tls": False} | dict((settings or {}).get(host, {})) for host in hosts}
        # JSON is YAML.
        return self._write("registries.yaml", json.dumps({"version": 1, "registries": entries}))

    def mirror(self, name: str, *, source: object, destinations: Iterable[object], **settings: object) -> Path:
        """Write a declaration of one mirror with *settings*."""
        declared = {"name": name, "source": source, "destinations": list(destinations)} | settings
        return self._write(f"mirrors.d/{name}.yaml", json.dumps({"version": 1, "mirrors": [declared]}, indent=1))

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path


def finish(process: subprocess.Popen[str], timeout: float = 30) -> Result:
    """Wait for a started process, kill it after *timeout*; return its result."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(f"imgsync did not end within {timeout} s\n{out}\n{err}") from None
    return Result(process.returncode, out, err)


def eventually(true: Callable[[], object], *, seconds: float = 30, pause_seconds: float = 0.01) -> None:
    """Return once *true* says so."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(pause_seconds)


def stopping(process) -> None:
    """Return once the program says that it is stopping."""
    assert any("run.stopping" in line for line in process.stderr)
