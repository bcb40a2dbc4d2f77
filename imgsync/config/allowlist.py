"""What a declaration can reach: prefixes of repository paths, by whole parts (design.md §2 `allow`)."""

from __future__ import annotations

from imgsync.config.model import Destination


def allows(prefixes: tuple[str, ...] | None, wanted: str) -> bool:
    """Return whether *wanted* is one of *prefixes* or below it, by whole parts; no list at all allows everything."""
    return prefixes is None or any(wanted == prefix or wanted.startswith(f"{prefix}/") for prefix in prefixes)


def fixed_part(destination: Destination) -> str:
    """Return what every reference at *destination* begins with: registry, namespace, and the template up to its first field."""
    literal = destination.repository.partition("{")[0]
    known = literal if "{" not in destination.repository else literal.rpartition("/")[0]
    return "/".join(part for part in f"{destination.registry}/{destination.namespace}/{known}".split("/") if part)
