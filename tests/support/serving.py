"""`imgsync serve` as a process that a test talks to."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.run_imgsync import Result, Workplace

_SECONDS = 30.0


class Serving:
    """
    A running `imgsync serve`, which ends with the block.

    Its log is read as it comes; `wait_for` waits for a line of it. It must have ended well, unless the test has looked at its end (`end`, `crash`).
    """

    def __init__(self, workplace: Workplace, *arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        """Prepare to serve in the folder of *workplace*, on a free port."""
        self._start: Callable[[], subprocess.Popen[str]] = lambda: workplace.start(
            "serve", "--listen", "127.0.0.1:0", "--log-format", "json", *arguments, env=env, cwd=cwd
        )
        self._lines: list[str] = []
        self._came = threading.Condition()
        self._result: Result | None = None
        self.process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        """Start; return once it serves."""
        self.start()
        try:
            self.wait_for("serve.started")
        except BaseException:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End it, and check that it ended well."""
        if self._result is None:
            result = self.end()
            assert kind is not None or result.code == 0, result.stderr

    def start(self) -> None:
        """Start, without waiting for anything."""
        self._lines, self._result = [], None
        self.process = self._start()
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    @property
    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the log so far."""
        with self._came:
            lines = list(self._lines)
        return [json.loads(line) for line in lines if line.startswith("{")]

    def events(self, name: str, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of one event with these *fields*."""
        return [line for line in self.log if line["event"] == name and all(line.get(key) == value for key, value in fields.items())]

    def wait_for(self, name: str, *, times: int = 1, seconds: float = _SECONDS, **fields: object) -> dict[str, Any]:
        """Return the line of an event with these *fields*, the *times*-th one."""
        return self.wait_until(lambda: self.events(name, **fields)[times - 1 : times], what=f"{name} {fields}", seconds=seconds)[0]

    def wait_until(self, find: Callable[[], Any], *, what: str = "it", seconds: float = _SECONDS) -> Any:
        """Return what *find* returns, once that is true; it is asked again at each line of the log."""
        ends = time.monotonic() + seconds
        while not (found := find()):
            left = ends - time.monotonic()
            assert left > 0, f"{what} does not come\n{self.said()}"
            assert self.process.poll() is None, f"imgsync serve ended with {self.process.returncode}\n{self.said()}"
            with self._came:
                self._came.wait(min(left, 0.1))
        return found

    def said(self) -> str:
        """Return the whole log as text."""
        with self._came:
            return "".join(self._lines)

    @property
    def url(self) -> str:
        """Return the URL of the page, without a slash at its end."""
        return f"http://{self.wait_for('serve.started')['listen']}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Send a GET to the page or the API."""
        return httpx.get(f"{self.url}{path}", trust_env=False, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        """Send a POST to the page or the API."""
        return httpx.post(f"{self.url}{path}", trust_env=False, **options)

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, *, seconds: float = _SECONDS) -> Result:
        """End it by a signal; return how it ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.finish(seconds=seconds)

    def crash(self) -> Result:
        """End it without a warning, as a lost machine does."""
        return self.end(signal.SIGKILL)

    def finish(self, *, seconds: float = _SECONDS) -> Result:
        """Return how it ended, once it has."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"imgsync serve did not end within {seconds} s\n{self.said()}") from None
        self._reader.join(_SECONDS)
        out = self.process.stdout.read() if self.process.stdout is not None else ""
        self._result = Result(self.process.returncode, out, self.said())
        assert "Traceback" not in self._result.stderr, self._result.stderr
        return self._result

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            with self._came:
                self._lines.append(line)
                self._came.notify_all()
