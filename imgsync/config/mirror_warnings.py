"""Warn of declarations that are valid and may still be a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from string import Formatter

from imgsync.config.declared import DeclaredMirror
from imgsync.config.model import Destination, Mirror
from imgsync.errors import FileError
from imgsync.filters.tags import has_only_names
from imgsync.system.dataclass import dataclass

# The first part of a path there is an account.
_PUBLIC_REGISTRIES = {"docker.io", "ghcr.io", "quay.io", "registry.gitlab.com", "public.ecr.aws", "gcr.io"}
# Fields that hold the source's path whole: two paths of one registry give two repositories.
_WHOLE_PATH = ("{path}", "{flat}")


def find_warnings(mirrors: Sequence[DeclaredMirror]) -> Iterator[FileError]:
    """Yield the warnings about *mirrors* that are not suspended."""
    active = [one for one in mirrors if not one.mirror.suspend]
    yield from _find_missing_namespaces(active)
    yield from _find_overlaps(active)


def _find_missing_namespaces(mirrors: Iterable[DeclaredMirror]) -> Iterator[FileError]:
    for declared in mirrors:
        for index, destination in enumerate(declared.mirror.destinations):
            if destination.registry in _PUBLIC_REGISTRIES and not destination.namespace and destination.repository.startswith("{"):
                message = f"images would go to the top of {destination.registry}, where each account has a namespace"
                yield declared.make_error(("destinations", index), message, f"write {destination.registry}/NAMESPACE")


@dataclass(frozen=True, slots=True)
class _Target:
    """
    What one destination of a mirror can write.

    The repositories begin with `prefix` and end with `suffix`; `is_exact` means that there is no more between. `is_named` means that each
    repository and tag is declared by its name: a collision of two such targets is an error, found elsewhere.
    """

    declared: DeclaredMirror
    index: int
    source: str
    prefix: str
    suffix: str
    is_exact: bool
    is_named: bool

    @property
    def destination(self) -> Destination:
        return self.declared.mirror.destinations[self.index]

    @property
    def text(self) -> str:
        return self.prefix if self.is_exact else f"{self.prefix}*{self.suffix}"


def _find_overlaps(mirrors: Iterable[DeclaredMirror]) -> Iterator[FileError]:
    """Yield a warning for mirrors that can write one repository differently."""
    by_registry: dict[str, list[_Target]] = {}
    for declared in mirrors:
        for index, destination in enumerate(declared.mirror.destinations):
            by_registry.setdefault(destination.registry, []).extend(_iter_targets(declared, index))
    warned: set[tuple[str, str]] = set()
    for targets in by_registry.values():
        for first, second in _pair_nested(targets):
            names = (first.declared.mirror.name, second.declared.mirror.name)
            if names[0] != names[1] and names not in warned and _may_collide(first, second):
                warned.add(names)
                narrower = first if first.is_exact else second
                where = first.declared.locate(("destinations", first.index))
                message = f"{second.source} can be written to {narrower.text}, as {first.source} by the mirror '{names[0]}' at {where}"
                yield second.declared.make_error(("destinations", second.index), message, "give each mirror a namespace of its own")


def _pair_nested(targets: Sequence[_Target]) -> Iterator[tuple[_Target, _Target]]:
    """Return nested pairs that are not both named, in declared order."""
    # Thousands of mirrors have millions of pairs. Sorted, a prefix follows those that it begins with.
    outer: list[int] = []
    unnamed: list[int] = []
    pairs: list[tuple[int, int]] = []
    for index in sorted(range(len(targets)), key=lambda index: targets[index].prefix):
        while outer and not targets[index].prefix.startswith(targets[outer[-1]].prefix):
            if outer.pop() in unnamed[-1:]:
                unnamed.pop()
        pairs += ((min(index, other), max(index, other)) for other in (unnamed if targets[index].is_named else outer))
        outer.append(index)
        if not targets[index].is_named:
            unnamed.append(index)
    return ((targets[first], targets[second]) for first, second in sorted(pairs))


def _may_collide(one: _Target, other: _Target) -> bool:
    mirrors = (one.declared.mirror, other.declared.mirror)
    if not _overlap((one.prefix, one.suffix, one.is_exact), (other.prefix, other.suffix, other.is_exact)):
        return False
    if not _overlap(_split_tag(one.destination), _split_tag(other.destination)):
        return False
    # The same image under the same name is not a conflict, unless its content is selected differently.
    return not _is_same_source(one, other) or mirrors[0].selection != mirrors[1].selection


def _is_same_source(one: _Target, other: _Target) -> bool:
    """Return whether one repository at the destination means one at the source."""
    if one.declared.mirror.source.registry != other.declared.mirror.source.registry:
        return False
    if one.source == other.source:
        return True
    first, second = one.destination, other.destination
    return (first.namespace, first.repository) == (second.namespace, second.repository) and any(field in first.repository for field in _WHOLE_PATH)


def _iter_targets(declared: DeclaredMirror, index: int) -> Iterator[_Target]:
    mirror = declared.mirror
    is_named = has_only_names(mirror.tags) and not mirror.source.namespaces
    for path, is_exact in (*((path, True) for path in mirror.source.repositories), *((path, False) for path in mirror.source.namespaces)):
        pieces = _expand(mirror, mirror.destinations[index], path, is_exact=is_exact)
        whole = "/".join(part for part in "".join(pieces).split("/") if part)
        prefix, wildcard, rest = whole.partition("*")
        source = f"{mirror.source.registry}/{path}" if is_exact else f"{mirror.source.registry}/{path}/*".replace("//", "/")
        start, end = f"{mirror.destinations[index].registry}/{prefix}", rest.rpartition("*")[2]
        yield _Target(declared, index, source, start, end, is_exact=not wildcard, is_named=is_named)


def _expand(mirror: Mirror, destination: Destination, path: str, *, is_exact: bool) -> Iterator[str]:
    """Yield the pieces of the repository; `*` stands for unknown text."""
    parent, _, name = path.rpartition("/")
    below = "" if is_exact else f"{path}/".lstrip("/")
    fields = {
        "path": path if is_exact else f"{below}*",
        "name": name if is_exact else "*",
        "parent": parent if is_exact else f"{path}*",
        "flat": (path if is_exact else f"{below}*").replace("/", "_"),
        "relative": path if is_exact else "*",
        "registry": mirror.source.registry.replace(":", "_"),
    }
    yield f"{destination.namespace}/"
    for literal, field, _, _ in Formatter().parse(destination.repository):
        yield literal
        yield fields[field] if field else ""


def _split_tag(destination: Destination) -> tuple[str, str, bool]:
    prefix, field, suffix = destination.tag.partition("{tag}")
    return prefix, suffix, not field


def _overlap(one: tuple[str, str, bool], other: tuple[str, str, bool]) -> bool:
    """Return whether a text can have both forms: prefix, suffix, whether exact."""
    (prefix, suffix, is_exact), (other_prefix, other_suffix, is_other_exact) = one, other
    if is_exact and is_other_exact:
        return prefix == other_prefix
    if is_other_exact:
        return _overlap(other, one)
    if is_exact:
        return prefix.startswith(other_prefix) and prefix.endswith(other_suffix) and len(prefix) >= len(other_prefix) + len(other_suffix)
    return (prefix.startswith(other_prefix) or other_prefix.startswith(prefix)) and (suffix.endswith(other_suffix) or other_suffix.endswith(suffix))
