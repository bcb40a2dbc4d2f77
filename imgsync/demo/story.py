"""The demo's course: the commands a user would type, run as processes, each result checked."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from imgsync.demo.images import index
from imgsync.demo.registry import EmbeddedRegistry

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
_SECONDS = 60


class _Story:
    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say

    def command(self, *arguments: str, expected: int = 0) -> None:
        """Run one imgsync command in the folder, showing it and its output."""
        self._say(f"\n$ imgsync {' '.join(arguments)}")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("IMGSYNC_")}
        done = subprocess.run(  # noqa: S603 - our own program, with words of our own
            [sys.executable, "-m", "imgsync", *arguments],
            cwd=self._folder,
            env={**environ, "IMGSYNC_LOG_LEVEL": "error"},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        self._say((done.stdout + done.stderr).rstrip())
        self.check(done.returncode == expected, f"exit code {expected} was expected, not {done.returncode}")

    def check(self, holds: bool, otherwise: str) -> None:
        """End the demo with an error unless something *holds*."""
        if not holds:
            raise RuntimeError(f"the demo did not go as it should: {otherwise}")


def tell(directory: str | None, *, say: Callable[[str], None]) -> int:
    """
    Run the demo, saying what happens, and return 0 when all went as it should; files stay in *directory* if given.

    Raises:
        RuntimeError: A step did not do what it should.
    """
    with _folder(directory) as folder, EmbeddedRegistry() as source, EmbeddedRegistry() as destination:
        for version in ("1.0.0", "1.1.0", "2.0.0"):
            source.seed("library/hello", version, index("hello", version))
        source.seed("library/hello", "latest", index("hello", "1.1.0"))
        (folder / "mirrors.d").mkdir(parents=True, exist_ok=True)
        names = {"source": source.host, "destination": destination.host}
        (folder / "mirrors.d" / "demo.yaml").write_text(_MIRRORS.format(**names))
        (folder / "registries.yaml").write_text(_REGISTRIES.format(**names))
        say(f"Two registries run on loopback: the source {source.host}, the destination {destination.host}.")
        say(f"{folder}/mirrors.d/demo.yaml declares what is wanted:\n\n{_MIRRORS.format(**names)}")
        _run(_Story(folder, say), source, destination, say)
    return 0


def _run(story: _Story, source: EmbeddedRegistry, destination: EmbeddedRegistry, say: Callable[[str], None]) -> None:
    story.command("validate")
    story.command("plan", "--detailed-exitcode", expected=2)
    story.check(destination.digest("mirror/library/hello", "1.0.0") is None, "a plan must not push")
    story.command("apply")
    story.check(destination.digest("mirror/library/hello", "1.1.0") == source.digest("library/hello", "1.1.0"), "the digests differ")
    story.check(destination.digest("mirror/library/hello", "2.0.0") is None, "2.0.0 was not asked for")

    say("\nAgain: nothing changed, and the destination is not asked at all.")
    before = destination.requests.total()
    story.command("plan", "--detailed-exitcode")
    story.command("apply")
    story.check(destination.requests.total() == before, "the destination was asked although nothing had changed")

    say("\nNow the source moves its tag latest to a new build.")
    source.seed("library/hello", "latest", index("hello", "1.2.0-build.7"))
    story.command("plan", "--detailed-exitcode", expected=2)
    story.command("apply")
    story.check(destination.digest("mirror/library/hello", "latest") == source.digest("library/hello", "latest"), "the moved tag was not copied")
    story.command("plan", "--detailed-exitcode")
    say("\nShown: validate, plan, apply; a second plan that was empty and cost the destination no request;")
    say("a moved tag, of which only the new blobs were copied. Next: write a mirrors.d/ of your own, see README.md.")


@contextlib.contextmanager
def _folder(directory: str | None) -> Iterator[Path]:
    if directory is not None:
        yield Path(directory)
        return
    with tempfile.TemporaryDirectory(prefix="imgsync-demo-") as folder:
        yield Path(folder)
