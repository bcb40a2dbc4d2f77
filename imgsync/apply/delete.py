"""
One tag taken away at a destination, and nothing else with it.

A registry that deletes tags is asked to. One that deletes by digest alone takes every tag of that digest, so there the digest goes only when
all of its tags are to go and no index that stays names it. Spec: design.md §2 `prune`; distribution-spec 1.1 "Content Management".
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from imgsync.apply.report import Outcome, Result
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ImgsyncError, NotFoundError, NotOursError, RejectedError, StoppedError
from imgsync.oci.listing.distribution import list_tags
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.model import Change

_AT_ONCE = 8
_FORBIDDEN = "allow deletion at the registry, or delete the tag by hand; `imgsync state remove` makes imgsync forget it, `prune: false` leaves all as it is"


@dataclass(frozen=True, slots=True)
class _Holding:
    """What the tags of a repository name: each its digest, and all that is below it."""

    named: Mapping[str, tuple[str, frozenset[str]]]

    def digest(self, tag: str) -> str:
        """Return the digest that *tag* names."""
        return self.named[tag][0]

    def tags_of(self, digest: str) -> list[str]:
        """Return the tags that name *digest* itself."""
        return sorted(tag for tag, (root, _) in self.named.items() if root == digest)

    def tags_above(self, digest: str) -> list[str]:
        """Return the tags whose index names *digest*."""
        return sorted(tag for tag, (_, parts) in self.named.items() if digest in parts)


def delete_tags(changes: Iterable[Change], client_of: Callable[[Change], RegistryClient]) -> Iterator[Outcome]:
    """Yield what came of the deletion of each of *changes*, repositories side by side, those of one repository one after the other."""
    repositories: dict[Repository, list[Change]] = {}
    for change in changes:
        repositories.setdefault(change.destination.repository, []).append(change)

    def remove(item: tuple[Repository, list[Change]]) -> list[Outcome]:
        repository, doomed = item
        digests = {change.destination.tag: change.destination_digest or "" for change in doomed}
        remover = _Remover(client_of(doomed[0]), repository, digests)
        return [_outcome(remover, change) for change in doomed]

    for outcomes in map_unordered(remove, repositories.items(), limit=_AT_ONCE):
        yield from outcomes


def _outcome(remover: _Remover, change: Change) -> Outcome:
    began = time.monotonic()
    result, failure = Result.DELETED, None
    try:
        remover.remove(change.destination.tag)
    except ImgsyncError as error:
        failure = error
        result = Result.REMAINING if isinstance(error, StoppedError) else Result.REFUSED if isinstance(error, NotOursError) else Result.FAILED
    return Outcome(
        change,
        result,
        digest=change.destination_digest,
        seconds=round(time.monotonic() - began, 3),
        attempts=1,
        error=failure.message if failure else None,
        hint=failure.hint if failure else "",
    )


class _Remover:
    """Removes tags of one destination repository, one after the other; *doomed* are all that are to go in this run, with the digests they must have."""

    def __init__(self, client: RegistryClient, repository: Repository, doomed: Mapping[str, str]) -> None:
        """Remove by *client* tags of *repository*."""
        self._client = client
        self._repository = repository
        self._doomed = doomed
        self._by_digest_alone = False
        self._gone: set[str] = set()
        self._holding: _Holding | None = None

    def remove(self, tag: str) -> None:
        """
        Remove *tag*; one that is gone already is fine.

        Raises:
            NotOursError: The tag serves another digest than imgsync pushed, or cannot go without others.
            RegistryError: The registry forbids it, or fails.
        """
        if tag not in self._gone:
            self._remove(self._repository.with_tag(tag), self._doomed[tag])
            self._gone.add(tag)

    def _remove(self, reference: Reference, digest: str) -> None:
        served = self._client.resolve(reference)
        if served is None:
            return
        if served.digest != digest:
            raise NotOursError(
                f"{reference} serves {shorten_digest(served.digest)}, not {shorten_digest(digest)}, which imgsync pushed; it is left alone",
                hint=f"imgsync state remove {reference}, if it is not imgsync's any more",
            )
        if not self._by_digest_alone and self._tag_removed(reference):
            return
        self._by_digest_alone = True
        self._make_way(reference, digest)
        try:
            self._client.delete_manifest(self._repository.with_digest(digest))
        except (RejectedError, NotFoundError) as error:
            if isinstance(error, NotFoundError) and self._is_gone(reference):
                return
            error.hint = error.hint or _FORBIDDEN
            raise

    def _tag_removed(self, reference: Reference) -> bool:
        """Return whether the registry removed the tag alone, or has it no more."""
        try:
            return self._client.delete_tag(reference)
        except NotFoundError:
            return self._is_gone(reference)

    def _is_gone(self, reference: Reference) -> bool:
        # What is not there need not be deleted; but some answer 404 to a request that they do not know.
        return self._client.resolve(reference) is None

    def _make_way(self, reference: Reference, digest: str) -> None:
        """
        Return when nothing that stays needs *digest*: indexes that name it and are to go as well are removed first.

        Raises:
            NotOursError: A tag stays that has the same digest, or whose index names it.
        """
        holding = self._look()
        naming = holding.tags_above(digest)
        staying = [tag for tag in holding.tags_of(digest) if self._doomed.get(tag) != digest]
        kept = [tag for tag in naming if self._doomed.get(tag) != holding.digest(tag)]
        if staying or kept:
            what = f"{', '.join(staying)} has the same digest" if staying else f"the index {', '.join(kept)} names it"
            raise NotOursError(
                f"{reference} cannot be deleted alone: this registry deletes by digest, and {what}",
                hint="delete the tag by the registry's own means, or `protect` it",
            )
        for tag in naming:
            self.remove(tag)

    def _look(self) -> _Holding:
        """Return what every tag of the repository names, read once."""
        if self._holding is None:
            listed = list_tags(self._client, self._repository.path)
            if listed.warnings:
                raise NotOursError(
                    f"nothing of {self._repository} is deleted by digest, since not all of its tags are known: {listed.warnings[0]}",
                    hint="delete the tags by the registry's own means, or `protect` them",
                )
            tags = [tag.name for tag in listed.tags]
            self._holding = _Holding(dict(found for found in map_unordered(self._named, tags, limit=_AT_ONCE) if found is not None))
        return self._holding

    def _named(self, tag: str) -> tuple[str, tuple[str, frozenset[str]]] | None:
        try:
            root = self._client.pull_manifest(self._repository.with_tag(tag))
        except NotFoundError:
            return None
        return tag, (root.digest, frozenset(self._parts(root)))

    def _parts(self, root: Manifest) -> set[str]:
        """Return every digest that *root* names, however deep."""
        found: set[str] = set()
        level = [root]
        while level:
            named = {child.digest: child for manifest in level for child in manifest.children if child.digest not in found}
            found |= named.keys()
            level = [part for child in named.values() if child.is_index for part in self._pulled(child.digest)]
        return found

    def _pulled(self, digest: str) -> Iterator[Manifest]:
        # An index may name what is not there.
        with contextlib.suppress(NotFoundError):
            yield self._client.pull_manifest(self._repository.with_digest(digest))
