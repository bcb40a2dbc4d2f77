"""Check that a lock has only images that its mirror declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from imgsync.config.model import Mirror
from imgsync.errors import FileError
from imgsync.filters.repositories import RepositoryFilter
from imgsync.filters.tags import has_only_names, select_tags
from imgsync.lock.declaration import compute_declaration_digest
from imgsync.lock.model import Lock, LockedImage
from imgsync.oci.spec.reference import is_pin

_MOST_ERRORS = 20


def check_declaration(lock: Lock, mirror: Mirror) -> list[FileError]:
    """Return an error if *lock* was made for another declaration of *mirror*."""
    if lock.declaration == compute_declaration_digest(mirror):
        return []
    message = f"`source` or `tags` of the mirror {mirror.name} changed since this lock was made"
    return [_make_error(lock, lock.declaration_line, message, f"bring it up to date, and review what changes: imgsync lock --only {mirror.name}")]


def check_images(lock: Lock, mirror: Mirror, *, checks_tags: bool) -> list[FileError]:
    """
    Return an error for each image that *mirror* cannot select.

    Only *checks_tags* compares tags with the filters, as far as that needs no registry.
    """
    paths = mirror.source.compile_filter()
    pins = {name.partition("@")[0]: name.partition("@")[2] for name in mirror.tags.names if is_pin(name) and "@" in name}
    errors: list[FileError] = []
    for repository, images in lock.iter_repositories():
        some = list(images)
        if not _is_declared(mirror, repository, paths):
            hint = f"remove the line, or declare the repository and run `imgsync lock --only {mirror.name}`"
            errors.append(_make_error(lock, some[0].line, f"the mirror {mirror.name} does not declare the repository {repository}", hint))
        else:
            errors += _check_pins(lock, some, pins)
            errors += _check_tags(lock, mirror, some) if checks_tags else ()
        if len(errors) >= _MOST_ERRORS:
            break
    return errors[:_MOST_ERRORS]


def _is_declared(mirror: Mirror, repository: str, paths: RepositoryFilter) -> bool:
    source = mirror.source
    path = repository.removeprefix(f"{source.registry}/")
    if path == repository or paths.is_excluded(path):
        return False
    return path in source.repositories or (paths.includes(path) and bool(source.list_namespaces_of(path)))


def _check_pins(lock: Lock, images: Iterable[LockedImage], pins: dict[str, str]) -> Iterator[FileError]:
    """Yield each image whose digest contradicts the declared one."""
    for one in images if pins else ():
        declared = pins.get(one.tag_or_digest, one.digest)
        if declared != one.digest:
            yield _make_error(lock, one.line, f"{one.image} is declared with the digest {declared}", "change the digest where it is declared: `tags.names`")


def _check_tags(lock: Lock, mirror: Mirror, images: list[LockedImage]) -> Iterator[FileError]:
    """Yield each image whose tag the filters drop."""
    named = {part for name in mirror.tags.names for part in (name, name.partition("@")[0])}
    rest = {one.tag_or_digest: one for one in images if one.tag_or_digest not in named}
    if not rest:
        return
    selected: Iterable[str] = ()
    if not has_only_names(mirror.tags):
        # Dates, and which tags are the newest, depend on what the registry has.
        alone = replace(mirror.tags, names=(), newest=None, newest_per=None, max_age_seconds=None)
        selected = select_tags(rest, alone, created_at=lambda _: {}, now=datetime.now(UTC)).tags
    for tag in rest.keys() - set(selected):
        hint = f"remove the line, or change the filters and run `imgsync lock --only {mirror.name}`"
        yield _make_error(lock, rest[tag].line, f"`tags` of the mirror {mirror.name} does not select {rest[tag].image}", hint)


def _make_error(lock: Lock, line: int, message: str, hint: str) -> FileError:
    return FileError(lock.file, line, 1, "", message, hint)
