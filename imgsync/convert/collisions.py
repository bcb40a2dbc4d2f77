"""Find entries of the converted files that write one destination."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgsync.config.model import Destination, Mirror
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.convert.conversion import Remark
from imgsync.convert.input_file import Diagnostics
from imgsync.errors import FileError, InvalidReferenceError
from imgsync.filters.tags import has_only_names
from imgsync.oci.spec.reference import Repository


def report_collisions(mirrors: Iterable[Mirror], diagnostics: Diagnostics) -> None:
    """
    Report entries with one destination but different sources.

    Equal tags are an error. If tag filters decide whether tags are equal, it is a remark.
    """
    tags: dict[str, tuple[str, Mirror]] = {}
    repositories: dict[str, tuple[str, Mirror]] = {}
    for mirror in mirrors:
        for source, target in _list_tags(mirror):
            first = tags.setdefault(target, (source, mirror))
            if first[0] != source or first[1].platforms != mirror.platforms:
                diagnostics.errors.append(_describe_error(source, target, mirror, first))
        for repository, target, _ in _expand(mirror):
            first = repositories.setdefault(target, (str(repository), mirror))
            if first[0] != str(repository) and not (has_only_names(first[1].tags) and has_only_names(mirror.tags)):
                diagnostics.remarks.append(_describe_remark(str(repository), target, mirror, first))


def _describe_error(source: str, target: str, mirror: Mirror, first: tuple[str, Mirror]) -> FileError:
    other = f"{first[0]}{' with other platforms' if first[0] == source else ''} ({_format_place(first[1])})"
    hint = "imgsync cannot express this: give each its own tag or repository, or remove one"
    return FileError(mirror.file, mirror.line, 1, "", f"{source} would be written to {target}, and so would {other}", hint)


def _describe_remark(source: str, target: str, mirror: Mirror, first: tuple[str, Mirror]) -> Remark:
    message = f"{target} gets tags of {source} and of {first[0]} ({_format_place(first[1])}); a tag that both select is an error in imgsync"
    return Remark(mirror.file, mirror.line, 1, "", message)


def _format_place(mirror: Mirror) -> str:
    return f"{mirror.file}:{mirror.line}"


def _list_tags(mirror: Mirror) -> Iterator[tuple[str, str]]:
    """Yield source and destination of each named tag."""
    for source, repository, destination in _expand(mirror):
        for name in mirror.tags.names:
            named = source.with_name(name)
            try:
                yield str(named), f"{repository}:{expand_tag(destination, named.tag_or_digest)}"
            except InvalidReferenceError:
                continue


def _expand(mirror: Mirror) -> Iterator[tuple[Repository, str, Destination]]:
    """Yield each exact source repository with its destination repositories."""
    for path in mirror.source.repositories:
        for destination in mirror.destinations:
            try:
                target = expand_repository(destination, path, relative=path, registry=mirror.source.registry)
            except InvalidReferenceError:
                continue
            yield Repository(mirror.source.registry, path), f"{destination.registry}/{target}", destination
