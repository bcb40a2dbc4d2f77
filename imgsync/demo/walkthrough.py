"""Run the commands a user would type, and check each result."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from imgsync.demo.images import build_index
from imgsync.demo.registry import EmbeddedRegistry
from imgsync.demo.serve import open_registries

_MIRRORS = """\
version: 1
mirrors:
  - name: hello
    source:
      registry: {source}
      repositories: [library/hello]
    tags:
      semver: ">=1 <2"
      names: [latest]
    destinations: ["{destination}/mirror"]
"""
_REGISTRIES = """\
version: 1
registries:
  {source}: {{tls: false}}
  {destination}: {{tls: false}}
"""
_COMMAND_SECONDS = 60


def run_demo(directory: str | None, *, echo: Callable[[str], None]) -> int:
    """
    Run the demo and return 0.

    Args:
        directory: Where to keep the files; None for a temporary folder.
        echo: Prints a line.

    Raises:
        RuntimeError: A step had another result than it should.
    """
    with _open_folder(directory) as folder, open_registries() as (source, destination):
        mirrors = _write_files(folder, source, destination)
        echo(f"Two registries run on loopback: the source {source.host}, the destination {destination.host}.")
        echo(f"{folder}/mirrors.d/demo.yaml declares the desired state:\n\n{mirrors}")
        walkthrough = _Walkthrough(folder, source, destination, echo)
        walkthrough.mirror()
        walkthrough.repeat()
        walkthrough.move_tag()
        echo("\nShown: validate, plan, apply; a second plan that was empty and sent the destination no request;")
        echo("a moved tag, of which only the new blobs were copied.")
        echo("Next: imgsync demo --serve runs such registries for a mirror of your own.")
    return 0


class _Walkthrough:
    """The steps of the demo."""

    def __init__(self, folder: Path, source: EmbeddedRegistry, destination: EmbeddedRegistry, echo: Callable[[str], None]) -> None:
        self._folder = folder
        self._source = source
        self._destination = destination
        self._echo = echo

    def mirror(self) -> None:
        """Validate, plan and apply."""
        self._run("validate")
        self._run("plan", "--detailed-exitcode", expected=2)
        self._check(self._destination.resolve("mirror/library/hello", "1.0.0") is None, "the plan pushed a tag")
        self._run("apply")
        self._check_mirrored("1.1.0")
        self._check(self._destination.resolve("mirror/library/hello", "2.0.0") is None, "2.0.0 was copied, which no filter selects")

    def repeat(self) -> None:
        """Plan and apply again, without any change."""
        self._echo("\nAgain: nothing changed, so the destination gets no request at all.")
        before = self._destination.requests.total()
        self._run("plan", "--detailed-exitcode")
        self._run("apply")
        self._check(self._destination.requests.total() == before, "the destination got requests although nothing had changed")

    def move_tag(self) -> None:
        """Move a tag at the source and apply."""
        self._echo("\nNow the source moves its tag latest to a new build.")
        self._source.store("library/hello", "latest", build_index("hello", "1.2.0-build.7"))
        self._run("plan", "--detailed-exitcode", expected=2)
        self._run("apply")
        self._check_mirrored("latest")
        self._run("plan", "--detailed-exitcode")

    def _run(self, *arguments: str, expected: int = 0) -> None:
        """Run one imgsync command in the folder; print it and its output."""
        self._echo(f"\n$ imgsync {' '.join(arguments)}")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("IMGSYNC_")}
        done = subprocess.run(  # noqa: S603 - our own program and arguments
            [sys.executable, "-m", "imgsync", *arguments],
            cwd=self._folder,
            env={**environ, "IMGSYNC_LOG_LEVEL": "error"},
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        self._echo((done.stdout + done.stderr).rstrip())
        self._check(done.returncode == expected, f"expected exit code {expected}, got {done.returncode}")

    def _check_mirrored(self, tag: str) -> None:
        mirrored = self._destination.resolve("mirror/library/hello", tag)
        self._check(mirrored == self._source.resolve("library/hello", tag), f"the digests of {tag} differ")

    def _check(self, is_right: bool, problem: str) -> None:
        if not is_right:
            raise RuntimeError(f"the demo failed: {problem}")


def _write_files(folder: Path, source: EmbeddedRegistry, destination: EmbeddedRegistry) -> str:
    """Write mirrors and registry settings; return the mirrors."""
    names = {"source": source.host, "destination": destination.host}
    mirrors = _MIRRORS.format(**names)
    (folder / "mirrors.d").mkdir(parents=True, exist_ok=True)
    (folder / "mirrors.d" / "demo.yaml").write_text(mirrors)
    (folder / "registries.yaml").write_text(_REGISTRIES.format(**names))
    return mirrors


@contextlib.contextmanager
def _open_folder(directory: str | None) -> Iterator[Path]:
    """Open *directory*, or a temporary folder that is removed at the end."""
    if directory is not None:
        yield Path(directory)
        return
    with tempfile.TemporaryDirectory(prefix="imgsync-demo-") as folder:
        yield Path(folder)
