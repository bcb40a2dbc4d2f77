"""
Delete a tag at a destination, and nothing else.

If the registry can delete a tag, we do that. Other registries delete a manifest with all its tags. There we delete only if all tags of
the digest are to be deleted, and no other tag has an index that lists it.
Spec: docs/how-to/prune.md; distribution-spec 1.1 "Content Management".
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from imgsync.apply.report import Outcome, Result
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import ImgsyncError, NotFoundError, RejectedError, StoppedError, UnmanagedTagError
from imgsync.listing.distribution import list_tags
from imgsync.listing.model import TagListing
from imgsync.oci.image_store import ImageStore, Resolved
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import has_same_algorithm, shorten_digest
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.model import Change
from imgsync.system.dataclass import dataclass

_AT_ONCE = 8
_FORBIDDEN = "allow deletion at the registry, or delete the tag yourself; `imgsync state remove` drops its record, `prune: false` keeps all tags"


@dataclass(frozen=True, slots=True)
class _Tags:
    """The tags of a repository, with digests and parts."""

    by_name: Mapping[str, tuple[str, frozenset[str]]]

    def get_digest(self, tag: str) -> str:
        """Return the digest of *tag*."""
        return self.by_name[tag][0]

    def list_with_digest(self, digest: str) -> list[str]:
        """Return the tags with *digest*."""
        return sorted(tag for tag, (root, _) in self.by_name.items() if root == digest)

    def list_with_part(self, digest: str) -> list[str]:
        """Return the tags whose index lists *digest*."""
        return sorted(tag for tag, (_, parts) in self.by_name.items() if digest in parts)


def delete_tags(changes: Iterable[Change], make_client: Callable[[Change], ImageStore]) -> Iterator[Outcome]:
    """Delete the tags of *changes*, and yield the outcomes."""
    repositories: dict[Repository, list[Change]] = {}
    for change in changes:
        repositories.setdefault(change.destination.repository, []).append(change)

    def delete_in_repository(item: tuple[Repository, list[Change]]) -> list[Outcome]:
        repository, doomed = item
        digests = {change.destination.tag: change.destination_digest or "" for change in doomed}
        deleter = _TagDeleter(make_client(doomed[0]), repository, digests)
        return [_delete(deleter, change) for change in doomed]

    for outcomes in map_unordered(delete_in_repository, repositories.items(), limit=_AT_ONCE):
        yield from outcomes


def _delete(deleter: _TagDeleter, change: Change) -> Outcome:
    began = time.monotonic()
    result, failure = Result.DELETED, None
    try:
        deleter.delete(change.destination.tag)
    except ImgsyncError as error:
        failure = error
        result = Result.REMAINING if isinstance(error, StoppedError) else Result.REFUSED if isinstance(error, UnmanagedTagError) else Result.FAILED
    return Outcome(
        change,
        result,
        digest=change.destination_digest,
        seconds=round(time.monotonic() - began, 3),
        attempts=1,
        error=failure.message if failure else None,
        hint=failure.advice if failure else "",
    )


def _list_tags(client: ImageStore, repository: Repository) -> TagListing:
    """Return the tags of a repository, as its registry lists them."""
    if not isinstance(client, RegistryClient):
        raise TypeError(f"only a registry cannot delete a tag alone, and {client.registry} is none")
    return list_tags(client, repository.path)


class _TagDeleter:
    """Deletes tags of one repository, one after the other."""

    def __init__(self, client: ImageStore, repository: Repository, doomed: Mapping[str, str]) -> None:
        """Delete only the tags *doomed*, by their digests."""
        self._client = client
        self._repository = repository
        self._doomed = doomed
        self._by_digest_alone = False
        self._gone: set[str] = set()
        self._tags: _Tags | None = None

    def delete(self, tag: str) -> None:
        """
        Delete *tag*; it may be gone already.

        Raises:
            UnmanagedTagError: The tag has another digest than imgsync pushed, or cannot be deleted without others.
            RegistryError: The registry refuses, or fails.
        """
        if tag not in self._gone:
            self._delete(self._repository.with_tag(tag), self._doomed[tag])
            self._gone.add(tag)

    def _delete(self, reference: Reference, digest: str) -> None:
        served = self._client.resolve(reference)
        if served is None:
            return
        if served.digest != digest and not self._is_same(reference, served, digest):
            raise UnmanagedTagError(
                f"{reference} serves {shorten_digest(served.digest)}, not {shorten_digest(digest)}, which imgsync pushed; it was not deleted",
                hint=f"imgsync state remove {reference}, if imgsync no longer owns this tag",
            )
        if not self._by_digest_alone and self._try_delete_tag(reference):
            return
        self._by_digest_alone = True
        self._delete_users(reference, served.digest)
        try:
            self._client.delete_manifest(self._repository.with_digest(served.digest))
        except (RejectedError, NotFoundError) as error:
            if isinstance(error, NotFoundError) and self._is_gone(reference):
                return
            error.hint = error.hint or _FORBIDDEN
            raise

    def _is_same(self, reference: Reference, served: Resolved, digest: str) -> bool:
        """Return whether *digest* names the bytes served, in another algorithm."""
        if has_same_algorithm(served.digest, digest):
            return False
        manifest = served.manifest or self._client.pull_manifest(reference)
        if not (manifest.matches(digest) and manifest.matches(served.digest)):
            return False
        # From here on, the name that the registry uses.
        self._doomed = {tag: served.digest if one == digest else one for tag, one in self._doomed.items()}
        return True

    def _try_delete_tag(self, reference: Reference) -> bool:
        """Return whether the tag is gone: deleted alone, or before."""
        try:
            return self._client.delete_tag(reference)
        except NotFoundError:
            return self._is_gone(reference)

    def _is_gone(self, reference: Reference) -> bool:
        # A 404 may mean that the tag is gone, or that the registry does not know this request.
        return self._client.resolve(reference) is None

    def _delete_users(self, reference: Reference, digest: str) -> None:
        """
        Delete the doomed indexes that list *digest*.

        Raises:
            UnmanagedTagError: A tag that stays has the same digest, or an index that lists it.
        """
        tags = self._read_tags()
        users = tags.list_with_part(digest)
        staying = [tag for tag in tags.list_with_digest(digest) if self._doomed.get(tag) != digest]
        kept = [tag for tag in users if self._doomed.get(tag) != tags.get_digest(tag)]
        if staying or kept:
            what = f"{', '.join(staying)} has the same digest" if staying else f"the index {', '.join(kept)} lists it"
            raise UnmanagedTagError(
                f"{reference} cannot be deleted alone: this registry deletes by digest, and {what}",
                hint="`protect` it; deleting the digest would delete the other tags as well",
            )
        for tag in users:
            self.delete(tag)

    def _read_tags(self) -> _Tags:
        """Return every tag of the repository, read once."""
        if self._tags is None:
            listed = _list_tags(self._client, self._repository)
            if listed.warnings:
                raise UnmanagedTagError(
                    f"nothing in {self._repository} is deleted by digest, as not all of its tags are known: {listed.warnings[0]}",
                    hint="run again when the listing is complete, or `protect` the tags",
                )
            names = [tag.name for tag in listed.tags]
            self._tags = _Tags(dict(found for found in map_unordered(self._read_tag, names, limit=_AT_ONCE) if found is not None))
        return self._tags

    def _read_tag(self, tag: str) -> tuple[str, tuple[str, frozenset[str]]] | None:
        try:
            root = self._client.pull_manifest(self._repository.with_tag(tag))
        except NotFoundError:
            return None
        return tag, (root.digest, frozenset(self._list_parts(root)))

    def _list_parts(self, root: Manifest) -> set[str]:
        """Return every digest that *root* lists, at any depth."""
        found: set[str] = set()
        level = [root]
        while level:
            named = {child.digest: child for manifest in level for child in manifest.children if child.digest not in found}
            found |= named.keys()
            level = [part for child in named.values() if child.is_index for part in self._pull(child.digest)]
        return found

    def _pull(self, digest: str) -> Iterator[Manifest]:
        # An index may list a manifest that is missing.
        with contextlib.suppress(NotFoundError):
            yield self._client.pull_manifest(self._repository.with_digest(digest))
