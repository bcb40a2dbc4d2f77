"""
Convert a rule's change of paths.

Harbor replaces the first parts of a path by the destination's namespace: none, some, or all but the last.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.config.model import Destination, Source
from imgsync.convert.build_mirrors import build_destination
from imgsync.convert.harbor_filters import NamePatterns
from imgsync.oci.spec.reference import is_repository_path

Group = tuple[Destination, Source]


def group_by_destination(names: NamePatterns, *, registry: str, namespace: str, replaced: int) -> tuple[list[Group], list[str]]:
    """
    Group the patterns in *names* by the destination that they need.

    Args:
        names: What the rule selects.
        registry: The destination registry.
        namespace: The namespace in the destination, "" to keep paths.
        replaced: How many first parts of a path *namespace* replaces; negative for all but the last.

    Returns:
        The groups, and why patterns cannot be converted. The registry of a source is empty.
    """
    groups: dict[Destination, list[str]] = {}
    failed: list[str] = []
    for glob in names.globs:
        try:
            destination = _find_destination(glob, registry, namespace, replaced)
        except ValueError as error:
            failed.append(str(error))
            continue
        groups.setdefault(destination, []).append(glob)
    found = [(destination, _build_source(globs)) for destination, globs in groups.items()]
    if names.expression:
        try:
            found.append((_find_destination("**", registry, namespace, replaced), Source("", namespaces=("",), regex=(names.expression,))))
        except ValueError as error:
            failed.append(str(error))
    return found, failed


def _find_destination(glob: str, registry: str, namespace: str, replaced: int) -> Destination:
    parts = glob.split("/")
    fixed = _split_fixed(parts)
    if not namespace:
        return Destination(registry)
    if replaced == 0:
        return Destination(registry, namespace)
    if replaced < 0 or ("**" not in parts and replaced == len(parts) - 1):
        return Destination(registry, namespace, "{name}")
    if "**" not in parts and replaced > len(parts) - 1:
        raise ValueError(f"Harbor fails for {glob!r}: its paths have fewer than {replaced} parts before the last")
    if len(fixed) == len(parts):
        return build_destination(glob, registry, "/".join((namespace, *parts[replaced:])))
    if len(fixed) < replaced:
        raise ValueError(f"imgsync cannot replace the first {replaced} parts of {glob!r}, whose paths differ there")
    return Destination(registry, "/".join((namespace, *fixed[replaced:])), "{relative}")


def _build_source(globs: list[str]) -> Source:
    """Return the source of all *globs*."""
    exact = [glob for glob in globs if is_repository_path(glob)]
    others = [glob for glob in globs if glob not in exact]
    namespaces = list(dict.fromkeys("/".join(_split_fixed(glob.split("/"))) for glob in others))
    has_patterns = any(glob not in {"**", f"{namespace}/**"} for glob, namespace in _pair(others))
    return Source("", tuple(namespaces), tuple(exact), include=tuple(others) if has_patterns else ())


def _pair(globs: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each glob with the namespace that it is below."""
    for glob in globs:
        yield glob, "/".join(_split_fixed(glob.split("/")))


def _split_fixed(parts: list[str]) -> list[str]:
    """Return the first parts without a wildcard."""
    end = next((index for index, part in enumerate(parts) if not is_repository_path(part)), len(parts))
    return parts[:end]
