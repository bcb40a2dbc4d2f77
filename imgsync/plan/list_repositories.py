"""Which repositories a mirror's source has, and what their listings say (design.md §2 `source`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imgsync.config.model import Mirror
from imgsync.errors import BudgetSpentError, ImgsyncError
from imgsync.filters.globs import compile_glob
from imgsync.oci.listing.lister import Lister
from imgsync.oci.listing.model import TagListing
from imgsync.oci.spec.reference import Repository
from imgsync.plan.model import PlanError


@dataclass(frozen=True, slots=True)
class SourceRepository:
    """A repository of the source, its path below the namespace it was found in, and its tags if they came along."""

    repository: Repository
    relative: str
    listing: TagListing | None = None


@dataclass(frozen=True, slots=True)
class ListedRepositories:
    """The repositories found, each once, what could not be listed, which dialects were chosen, what was left out."""

    repositories: tuple[SourceRepository, ...]
    errors: tuple[PlanError, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def list_source_repositories(mirror: Mirror, lister: Lister, *, check: Callable[[], None]) -> ListedRepositories:
    """
    Return the source's repositories: exact ones as they are, namespaces as the registry lists them, less `exclude`.

    A namespace that cannot be listed is an error of that namespace; the others go on.
    """
    found = {path: SourceRepository(Repository(mirror.source.registry, path), path) for path in mirror.source.repositories}
    errors: list[PlanError] = []
    notes: list[str] = []
    warnings: list[str] = []
    excluded = [compile_glob(text) for text in mirror.source.exclude]
    for namespace in mirror.source.namespaces:
        check()
        whole = f"{mirror.source.registry}/{namespace}".rstrip("/")
        try:
            listed = lister.repositories(namespace)
        except ImgsyncError as error:
            later = isinstance(error, BudgetSpentError)
            if error.exit_code != 1 and not later:
                raise
            errors.append(PlanError(mirror.name, whole, error.message, error.hint, later=later))
            continue
        if lister.kind == "auto" or not listed.repositories:
            notes.append(f"repositories of {whole} listed by {listed.dialect}{'' if listed.repositories else ': there are none'}")
        warnings += listed.warnings
        below = {
            one.path: SourceRepository(Repository(mirror.source.registry, one.path), strip_namespace(one.path, namespace), one.tags)
            for one in listed.repositories
        }
        found = {**below, **{path: _with_listing(one, below.get(path)) for path, one in found.items()}}
    kept = [found[path] for path in sorted(found) if not any(glob.fullmatch(path) for glob in excluded)]
    return ListedRepositories(tuple(kept), tuple(errors), tuple(notes), tuple(warnings))


def strip_namespace(path: str, namespace: str) -> str:
    """Return *path* as it reads below *namespace*."""
    return path[len(namespace) + 1 :] if namespace else path


def _with_listing(exact: SourceRepository, listed: SourceRepository | None) -> SourceRepository:
    return exact if listed is None else SourceRepository(exact.repository, exact.relative, listed.listing)
