"""List the repositories of a mirror's source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from imgsync.config.model import Mirror, Source
from imgsync.errors import ImgsyncError
from imgsync.filters.repositories import RepositoryFilter
from imgsync.listing.model import StoreLister, TagListing
from imgsync.oci.spec.reference import Repository
from imgsync.plan.model import PlanError
from imgsync.plan.plan_error import make_plan_error
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class SourceRepository:
    """
    A source repository, with its tags if already listed.

    `relative` is its path below the declared namespace.
    """

    repository: Repository
    relative: str
    listing: TagListing | None = None


@dataclass(frozen=True, slots=True)
class ListedRepositories:
    """
    The repositories found, and what could not be listed.

    `warnings` name what a listing skipped. `complete` are the namespaces that were listed completely, and whether they have repositories.
    """

    repositories: tuple[SourceRepository, ...]
    errors: tuple[PlanError, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    complete: Mapping[str, bool]


def list_source_repositories(mirror: Mirror, lister: StoreLister, *, check: Callable[[], None]) -> ListedRepositories:
    """
    Return declared repositories and those of declared namespaces.

    A namespace that cannot be listed is an error; the others are still listed.
    """
    found = {path: SourceRepository(Repository(mirror.source.registry, path), path) for path in mirror.source.repositories}
    errors: list[PlanError] = []
    notes: list[str] = []
    warnings: list[str] = []
    complete: dict[str, bool] = {}
    paths = mirror.source.compile_filter()
    for namespace in mirror.source.namespaces:
        check()
        whole = f"{mirror.source.registry}/{namespace}".rstrip("/")
        try:
            listed = lister.repositories(namespace)
        except ImgsyncError as error:
            errors.append(make_plan_error(mirror, whole, error))
            continue
        if lister.kind == "auto" or not listed.repositories:
            notes.append(f"listed repositories of {whole} through {listed.kind}{'' if listed.repositories else ': none found'}")
        warnings += listed.warnings
        if not listed.warnings:
            complete[namespace] = bool(listed.repositories)
        below = {
            one.path: SourceRepository(Repository(mirror.source.registry, one.path), strip_namespace(one.path, namespace), one.tags)
            for one in listed.repositories
            if paths.includes(one.path)
        }
        found = {**below, **{path: _add_listing(one, below.get(path)) for path, one in found.items()}}
    kept = [found[path] for path in sorted(found) if not paths.is_excluded(path)]
    return ListedRepositories(tuple(kept), tuple(errors), tuple(notes), tuple(warnings), complete)


def list_relative_paths(source: Source, paths: RepositoryFilter, path: str) -> Iterator[str]:
    """Yield *path* relative to each declaration in *source* that covers it."""
    if path in source.repositories:
        # A repository's own declaration wins over its namespace's.
        yield path
        return
    for namespace in source.list_namespaces_of(path) if paths.includes(path) else ():
        yield strip_namespace(path, namespace)


def strip_namespace(path: str, namespace: str) -> str:
    """Return *path* relative to *namespace*."""
    return path[len(namespace) + 1 :] if namespace else path


def _add_listing(exact: SourceRepository, listed: SourceRepository | None) -> SourceRepository:
    return exact if listed is None else SourceRepository(exact.repository, exact.relative, listed.listing)
