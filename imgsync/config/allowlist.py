"""Check repository paths against allow-lists of prefixes."""

from __future__ import annotations

from imgsync.config.model import Destination


def is_allowed(prefixes: tuple[str, ...] | None, path: str) -> bool:
    """
    Return whether *path* is one of *prefixes* or below one.

    Prefixes match whole path components. None allows every path.
    """
    return prefixes is None or any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def get_fixed_prefix(destination: Destination) -> str:
    """Return the path that all references of *destination* begin with."""
    literal = destination.repository.partition("{")[0]
    known = literal if "{" not in destination.repository else literal.rpartition("/")[0]
    return "/".join(part for part in f"{destination.registry}/{destination.namespace}/{known}".split("/") if part)
