"""A folder and registries with real names, for the commands that the documentation shows."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[2]
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Output:
    """What a command printed to stdout and stderr, and its exit code."""

    code: int
    stdout: str
    stderr: str = ""

    @property
    def text(self) -> str:
        """Return all that it printed."""
        return self.stdout + self.stderr


Program = Callable[[list[str], Path, Mapping[str, str], str], Output]


def run_program(arguments: list[str], folder: Path, environ: Mapping[str, str], text: str) -> Output:
    """Run imgsync in *folder* to its end, with *text* on its stdin."""
    command = [sys.executable, "-m", "imgsync", *arguments]
    done = subprocess.run(command, cwd=folder, env=dict(environ), input=text, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603 - our own program
    return Output(done.returncode, done.stdout, done.stderr)


class Stage:
    """Registries that serve within the `with` block, and the folder to run imgsync in."""

    def __init__(self, folder: Path, *registries: str) -> None:
        """Use *folder*, which exists, and *registries*."""
        self.folder = folder
        self.registries = {*registries}
        self._server: subprocess.Popen[str] | None = None
        self._proxy = ""

    def __enter__(self) -> Self:
        """Start the registries."""
        command = [sys.executable, "-m", "docs.stage.serve"]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own program
        self._proxy = f"http://{self._read_line()}"
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the registries."""
        if self._server is not None:
            self._server.communicate(timeout=_SECONDS)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a command: a terminal's width, no settings of this user."""
        home = self.folder / "home"
        own = {"HOME": str(home), "DOCKER_CONFIG": str(home), "COLUMNS": "80", "LANG": "C.UTF-8", "TZ": "UTC", "IMGSYNC_LOG_LEVEL": "error"}
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **own}

    def store(self, image: str, *tags: str, version: str = "") -> None:
        """Store an image, as REGISTRY/REPOSITORY, under *tags*; by default a tag is its version."""
        registry, _, repository = image.partition("/")
        self.registries.add(registry)
        for tag in tags:
            self._send([registry, repository, tag, version or tag])

    def reset(self, folder: Path) -> None:
        """Start again, with empty registries and another *folder*."""
        self.folder = folder
        self.registries.clear()
        self._send([])

    def write(self, path: str, text: str) -> None:
        """Write a file below the folder."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def connect(self, file: Path) -> str:
        """Return the path of a copy of *file*, in which each registry is one of ours."""
        document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {"version": 1}
        entries = document.setdefault("registries", {})
        for name in {*entries, *self.registries}:
            entries[name] = {**(entries.get(name) or {}), "tls": False, "proxy": self._proxy}
        self.write("home/registries.yaml", yaml.safe_dump(document, sort_keys=False))
        return str(self.folder / "home/registries.yaml")

    def run_on_terminal(self, *arguments: str, columns: int) -> str:
        """Return what imgsync prints to a terminal, with colours."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        environ = {**self.environment, "TERM": "xterm-256color", "IMGSYNC_REGISTRIES": self.connect(self.folder / "registries.yaml")}
        del environ["COLUMNS"]
        command = [sys.executable, "-m", "imgsync", *arguments]
        # A plan is short: what the terminal holds until it is read is longer.
        subprocess.run(command, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL, timeout=_SECONDS, check=False)  # noqa: S603 - our own program
        os.close(theirs)
        pieces = []
        while piece := _read_piece(ours):
            pieces.append(piece)
        os.close(ours)
        return b"".join(pieces).decode().replace("\r\n", "\n")

    def _send(self, message: list[str]) -> None:
        assert self._server is not None and self._server.stdin is not None  # noqa: S101, PT018 - only within the block
        self._server.stdin.write(json.dumps(message) + "\n")
        self._server.stdin.flush()
        self._read_line()

    def _read_line(self) -> str:
        assert self._server is not None and self._server.stdout is not None  # noqa: S101, PT018 - only within the block
        return self._server.stdout.readline().strip()


def _read_piece(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux reports so the end of what a terminal holds
        return b""
