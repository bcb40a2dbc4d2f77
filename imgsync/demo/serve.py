"""Open the two registries of the demo: a source and a destination."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from imgsync.demo.images import build_index
from imgsync.demo.registry import EmbeddedRegistry
from imgsync.errors import UsageError

REPOSITORY = "library/hello"
_VERSIONS = ("1.0.0", "1.1.0", "2.0.0")
_LATEST = "1.1.0"


@contextlib.contextmanager
def open_registries(port: int = 0) -> Iterator[tuple[EmbeddedRegistry, EmbeddedRegistry]]:
    """
    Yield the source and the destination, which serve within the block.

    Args:
        port: The port of the destination; the source has the next one. 0 for free ports.

    Raises:
        UsageError: A port is in use.
    """
    with contextlib.ExitStack() as stack:
        destination, source = _serve(stack, port), _serve(stack, port + 1 if port else 0)
        for version in _VERSIONS:
            source.store(REPOSITORY, version, build_index("hello", version))
        source.store(REPOSITORY, "latest", build_index("hello", _LATEST))
        yield source, destination


def serve_registries(port: int, *, wait: Callable[[], None], echo: Callable[[str], None]) -> int:
    """
    Serve both registries until *wait* returns; return 0.

    Args:
        port: The port of the destination; the source has the next one. 0 for free ports.
        wait: Returns when the registries should stop.
        echo: Prints a line.

    Raises:
        UsageError: A port is in use.
    """
    with open_registries(port) as (source, destination):
        echo(describe_registries(_name(source), _name(destination)))
        wait()
    return 0


def describe_registries(source: str, destination: str) -> str:
    """Return what the registries have, and the commands of a first mirror."""
    tags = f"{', '.join(_VERSIONS)} and latest"
    return f"""\
Two registries run on loopback, in memory, until Ctrl-C:
  {source}   the source: {REPOSITORY} with the tags {tags}
  {destination}   the destination: empty
Next:
  imgsync init first-mirror --source {source}/{REPOSITORY} --destination {destination}/mirror
  cd first-mirror
  imgsync plan
  imgsync apply
Or, instead of the last two, keep the mirror in step and see it on a page:
  imgsync serve"""


def _serve(stack: contextlib.ExitStack, port: int) -> EmbeddedRegistry:
    """Return a registry that serves on *port* until *stack* is closed."""
    try:
        return stack.enter_context(EmbeddedRegistry(port))
    except OSError as error:
        raise UsageError(f"port {port} of 127.0.0.1 cannot be used: {os.strerror(error.errno or 0)}", hint="choose another one with --port") from error


def _name(registry: EmbeddedRegistry) -> str:
    """Return the registry's name as docker and podman know it."""
    return f"localhost:{registry.port}"
