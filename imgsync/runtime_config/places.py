"""
Find how a source path becomes the path at a destination.

The template is filled with placeholders, so that the result holds for every path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from imgsync.config.model import Destination
from imgsync.config.templates import expand_repository, fill_repository
from imgsync.system.dataclass import dataclass

# `{flat}` needs a rewrite for each number of path components. Deeper paths are rare.
MAX_DEPTH = 8
# Placeholders for components: characters that no name has.
COMPONENTS = tuple(map(chr, range(1, MAX_DEPTH + 1)))
_ONE = "([^/]+)"
_MANY = "(.+)"
_UNRENAMED = "{tag}"


@dataclass(frozen=True, slots=True)
class Scope:
    """
    The source repositories that one entry of a mirror selects.

    `path` is a repository if `is_exact`, else a namespace; "" is the whole registry.
    """

    registry: str
    path: str
    is_exact: bool

    def covers(self, path: str) -> bool:
        """Return whether the repository *path* is in this scope."""
        return path == self.path if self.is_exact else not self.path or path.startswith(f"{self.path}/")

    def list_above(self) -> tuple[Scope, ...]:
        """Return the namespaces that this scope is below, the longest first."""
        parts = self.path.split("/") if self.path else []
        return tuple(Scope(self.registry, "/".join(parts[:count]), is_exact=False) for count in range(len(parts) - 1, -1, -1))

    def contains(self, other: Scope) -> bool:
        """Return whether every repository of *other* is in this scope."""
        return self in {other, *other.list_above()}

    def __str__(self) -> str:
        """Return the registry and the path, if there is one."""
        return f"{self.registry}/{self.path}" if self.path else self.registry


@dataclass(frozen=True, slots=True)
class Rewrite:
    """
    A regular expression for a whole source path, and what replaces it.

    In the syntax of Go: `${1}` is the first group, because `$1_a` would name a group `1_a`.
    """

    pattern: str
    replacement: str

    def apply(self, path: str) -> str | None:
        """Return what becomes of *path*, None if the pattern does not match."""
        found = re.fullmatch(self.pattern, path)
        return None if found is None else found.expand(self.replacement.replace("${", r"\g<").replace("}", ">"))


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the repositories of a scope are at one destination.

    `prefix` replaces the path of the scope; None if the path changes otherwise. `rewrites` exclude each other and cover every path of
    the scope, up to `MAX_DEPTH` components below its namespace unless `is_complete`. `texts` are the paths of repositories one, two … components
    below the namespace, with a placeholder for each component.
    """

    destination: Destination
    prefix: str | None
    rewrites: tuple[Rewrite, ...]
    texts: tuple[str, ...]
    is_complete: bool = True

    @property
    def is_flat(self) -> bool:
        """Return whether the path uses the source path joined by `_` alone."""
        return len(self.texts) > 1 and all(
            text == self.texts[0].replace(COMPONENTS[0], "_".join(COMPONENTS[:depth])) for depth, text in enumerate(self.texts, 1)
        )

    @property
    def registry(self) -> str:
        """Return the destination's registry."""
        return self.destination.registry

    @property
    def keeps_tags(self) -> bool:
        """Return whether a tag has the same name at the destination."""
        return self.destination.tag == _UNRENAMED


def find_place(scope: Scope, destination: Destination) -> Place:
    """
    Return where the repositories of *scope* are at *destination*.

    Raises:
        InvalidReferenceError: The template results in an invalid path.
    """
    if scope.is_exact:
        path = expand_repository(destination, scope.path, relative=scope.path, registry=scope.registry)
        return Place(destination, path, (Rewrite(f"^{escape_path(scope.path)}$", path),), (path,))
    expand_repository(destination, _join(scope.path, "x"), relative="x", registry=scope.registry)
    texts = tuple(_fill(scope, destination, depth) for depth in range(1, MAX_DEPTH + 1))
    prefix = _find_prefix(texts)
    if prefix is not None:
        return Place(destination, prefix, (Rewrite(f"^{escape_path(_join(scope.path, ''))}{_MANY}$", _join(prefix, "${1}")),), texts)
    if _is_uniform(texts):
        # One component, or several before the last.
        shapes: tuple[tuple[str, ...], ...] = ((_ONE,), (_MANY, _ONE))
        return Place(destination, None, tuple(_make_rewrite(scope, shape, text) for shape, text in zip(shapes, texts, strict=False) if text), texts)
    shapes = tuple((_ONE,) * depth for depth in range(1, MAX_DEPTH + 1))
    rewrites = tuple(_make_rewrite(scope, shape, text) for shape, text in zip(shapes, texts, strict=True) if text)
    return Place(destination, None, rewrites, texts, is_complete=False)


def _fill(scope: Scope, destination: Destination, depth: int) -> str:
    """Return the path of a repository *depth* components below the scope."""
    relative = "/".join(COMPONENTS[:depth])
    return fill_repository(destination, _join(scope.path, relative), relative=relative, registry=scope.registry)


def _find_prefix(texts: Sequence[str]) -> str | None:
    """Return what all paths begin with, None if more than that changes."""
    first = texts[0].removesuffix(COMPONENTS[0])
    prefix = first.removesuffix("/")
    if texts[0] == first or (first and prefix == first):
        return None
    return prefix if all(text == _join(prefix, "/".join(COMPONENTS[:depth])) for depth, text in enumerate(texts, 1)) else None


def _is_uniform(texts: Sequence[str]) -> bool:
    """Return whether all depths beyond one follow the same rule."""
    return all(text == texts[1].translate(_spread(depth)) for depth, text in enumerate(texts, 1) if depth > 1)


def _spread(depth: int) -> dict[int, str]:
    """Return what turns two placeholders into *depth* of them."""
    return {ord(COMPONENTS[0]): "/".join(COMPONENTS[: depth - 1]), ord(COMPONENTS[1]): COMPONENTS[depth - 1]}


def _make_rewrite(scope: Scope, shape: tuple[str, ...], text: str) -> Rewrite:
    groups = {ord(component): f"${{{number}}}" for number, component in enumerate(COMPONENTS, 1)}
    return Rewrite(f"^{escape_path(_join(scope.path, ''))}{'/'.join(shape)}$", text.translate(groups))


def _join(path: str, rest: str) -> str:
    return f"{path}/{rest}" if path else rest


def escape_path(path: str) -> str:
    """Return *path* as a regular expression."""
    # Not with a backslash: k3s writes patterns into TOML without escaping them.
    return path.replace(".", "[.]")
