"""Chromium without a window, driven over a pipe: pages as a reader sees them."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# 3 and 4 are where `--remote-debugging-pipe` reads and writes: https://chromedevtools.github.io/devtools-protocol/
_RUN = 'exec "$0" "$@" 3<&"$BROWSER_READS" 4>&"$BROWSER_WRITES"'
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--no-first-run", "--disable-extensions")
PHONE, DESK = 390, 1280


class Browser:
    """One tab; each page gets a width, and is light or dark."""

    def __init__(self, reads: int, writes: int) -> None:
        """Speak the DevTools protocol over two pipes."""
        self._reads, self._writes = reads, writes
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.errors: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(self, path: Path, *, width: int = DESK, dark: bool = False, scripts: bool = True, print_form: bool = False) -> None:
        """Open the file at *path*, and wait until it is loaded."""
        self.errors.clear()
        self._call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.resize(width)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", media="print" if print_form else "", features=features)
        self._call("Page.navigate", url=path.as_uri())
        while self._receive().get("method") != "Page.loadEventFired":
            pass

    def resize(self, width: int) -> None:
        """Give the open page another width."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)

    def run(self, script: str) -> Any:
        """Return the value of *script*, a promise's too; the page's CSP does not hold for it. It may do what needs a click."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description", str(found)))
        return found["result"].get("value")

    def type(self, text: str) -> None:
        """Type *text* where the focus is, and wait for the next frame."""
        self._call("Input.insertText", text=text)
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def take_picture(self, path: Path, *, whole: bool = True) -> None:
        """Write a PNG of the page, or of its first screen."""
        found = self._call("Page.captureScreenshot", captureBeyondViewport=whole, **({"clip": self._measure()} if whole else {}))
        path.write_bytes(base64.b64decode(found["data"]))

    def _measure(self) -> dict[str, float]:
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 12_000), "scale": 1}

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": self._session} if self._session else {})
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        """Return the next message; keep what the page complains about."""
        while b"\0" not in self._buffer:
            data = os.read(self._reads, 1 << 20)
            if not data:
                raise RuntimeError("the browser ended")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if message.get("method") == "Log.entryAdded":
            self.errors.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(message["params"]["exceptionDetails"]))
        return message


def find_chromium() -> str:
    """Return the path of the browser."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise RuntimeError("the tests need chromium; run tests/install-tools.sh")
    return program


def _make_pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are not those of the browser."""
    low = os.pipe()
    read, write = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in low)
    for descriptor in low:
        os.close(descriptor)
    return read, write


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Run Chromium with an empty profile."""
    program = find_chromium()
    read_here, write_there = _make_pipe()
    read_there, write_here = _make_pipe()
    # A process of the browser that is about to end may still write to the profile.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        environment = os.environ | {"BROWSER_READS": str(read_there), "BROWSER_WRITES": str(write_there)}
        # Not sh: dash knows descriptors of one digit only.
        command = ["bash", "-c", _RUN, program, *_OPTIONS, f"--user-data-dir={profile}"]
        process = subprocess.Popen(
            command, env=environment, pass_fds=(read_there, write_there), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        os.close(read_there)
        os.close(write_there)
        try:
            yield Browser(read_here, write_here)
        finally:
            os.close(write_here)
            os.close(read_here)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
