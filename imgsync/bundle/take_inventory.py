"""
Find out what the repositories of a registry hold.

Reads manifests, never blobs: a registry takes no manifest without its blobs. Holds one repository at a time. A tag that a confirmed record of the
state still describes needs no manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from imgsync.bundle.digest_sizes import DigestSizes
from imgsync.bundle.inventory import HeldRepository, InventoryError
from imgsync.concurrency.single_flight import SingleFlight
from imgsync.concurrency.workers import map_unordered
from imgsync.errors import AccessDeniedError, AuthenticationError, ImgsyncError, NotFoundError, RegistryError, StoppedError, UnsupportedContentError
from imgsync.filters.natural_order import make_natural_key
from imgsync.listing.model import ListedTag, StoreLister, TagListing
from imgsync.logs.logger import Logger
from imgsync.oci.image_store import ImageStore
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.registries.clients import Registries
from imgsync.state import StateStore
from imgsync.state.blob_note import parse_blob_note
from imgsync.state.snapshot import BLOB
from imgsync.system.dataclass import dataclass

_TAGS_AT_ONCE = 16
_DEPTH_LIMIT = 4
# After as many errors the rest of a repository is not tried.
_ERRORS_OF_ONE = 10


@dataclass(frozen=True, slots=True)
class Place:
    """A registry, and a namespace or repository, "" for the whole registry."""

    registry: str
    path: str

    def __str__(self) -> str:
        """Return `registry/path`."""
        return f"{self.registry}/{self.path}" if self.path else self.registry


class InventoryTaker:
    """
    Takes an inventory.

    Attributes:
        errors: What could not be read so far.
    """

    def __init__(self, registries: Registries, state: StateStore, *, log: Logger, check: Callable[[], None], clean: Callable[[str], str]) -> None:
        """
        Believe the confirmed records of *state*.

        *check* may end the waiting. *clean* removes secrets from messages.
        """
        self._clean = clean
        self._registries = registries
        self._state = state
        self._log = log
        self._retry_policy = RetryPolicy(check=check, on_retry=registries.on_retry)
        self._recorded: Mapping[str, DigestSizes] | None = None
        self.errors: list[InventoryError] = []

    def iter_repositories(self, places: Iterable[Place]) -> Iterator[HeldRepository]:
        """
        Yield each repository of *places* once, in order.

        What fails is in `errors`, and the rest is read.

        Raises:
            StoppedError: The run was stopped.
        """
        stores: dict[str, tuple[ImageStore, StoreLister]] = {}
        listings: dict[Repository, TagListing | None] = {}
        for place in sorted(places, key=str):
            try:
                if place.registry not in stores:
                    client = self._registries.make_client(place.registry, "source", self._retry_policy)
                    stores[place.registry] = client, self._registries.make_lister(client)
                for path, listing in _list_place(place, stores[place.registry][1]):
                    listings.setdefault(Repository(place.registry, path), listing)
            except StoppedError:
                raise
            except ImgsyncError as error:
                self._note(str(place), error)
        for repository in sorted(listings, key=lambda one: make_natural_key(str(one))):
            client, lister = stores[repository.registry]
            yield self._read_repository(client, lister, repository, listings.pop(repository))

    def _read_repository(self, client: ImageStore, lister: StoreLister, repository: Repository, listing: TagListing | None) -> HeldRepository:
        before = len(self.errors)
        reading = _Reading(client, repository, self._state, self._find_recorded(repository))
        try:
            tags = (lister.tags(repository.path) if listing is None else listing).tags
        except StoppedError:
            raise
        except NotFoundError:
            return reading.finish(is_complete=True)
        except ImgsyncError as error:
            self._note(str(repository), error)
            return reading.finish(is_complete=False)
        for _ in map_unordered(partial(self._read_tag, reading, before), tags, limit=_TAGS_AT_ONCE):
            pass
        if len(self.errors) >= before + _ERRORS_OF_ONE:
            self._log.warning("inventory.incomplete", repository=str(repository), reason=f"{_ERRORS_OF_ONE} errors; the rest was not tried")
        return reading.finish(is_complete=len(self.errors) == before)

    def _read_tag(self, reading: _Reading, before: int, tag: ListedTag) -> None:
        if len(self.errors) >= before + _ERRORS_OF_ONE:
            return
        try:
            if problem := reading.read_tag(tag):
                self._log.warning("inventory.left_out", reference=str(reading.repository.with_tag(tag.name)), reason=problem)
        except StoppedError:
            raise
        except ImgsyncError as error:
            self._note(str(reading.repository.with_tag(tag.name)), error)

    def _note(self, reference: str, error: ImgsyncError) -> None:
        self.errors.append(InventoryError(reference, self._clean(error.message)))
        self._log.error("inventory.failed", reference=reference, error=error.message, hint=error.advice)

    def _find_recorded(self, repository: Repository) -> DigestSizes | None:
        """Return what the state says that *repository* holds."""
        if self._recorded is None:
            self._recorded = _group_blobs(self._state)
        return self._recorded.get(str(repository))


class _Reading:
    """One repository while it is read."""

    def __init__(self, client: ImageStore, repository: Repository, state: StateStore, recorded: DigestSizes | None) -> None:
        self.repository = repository
        self._client = client
        self._state = state
        self._recorded = recorded
        self._tags: dict[str, str] = {}
        self._manifests = DigestSizes()
        self._blobs = DigestSizes()
        self._referrers: dict[str, set[str]] = {}
        # Those that name a manifest which is not there.
        self._broken: set[str] = set()
        self._subjects: set[str] = set()
        # Manifests whose parts are being read, for one tag or another.
        self._flights: SingleFlight[str] = SingleFlight()

    def finish(self, *, is_complete: bool) -> HeldRepository:
        """Return what was found."""
        tags = {tag: digest for tag, digest in self._tags.items() if digest not in self._broken or is_referrers_tag(tag)}
        return HeldRepository(self.repository, tags, self._manifests, self._blobs, {key: sorted(found) for key, found in self._referrers.items()}, is_complete)

    def read_tag(self, tag: ListedTag) -> str:
        """
        Read what *tag* names; return why it is left out, if so.

        Raises:
            RegistryError: The registry fails.
        """
        try:
            digest = self._read_root(tag)
            if not is_referrers_tag(tag.name):
                self._read_referrers(digest, depth=1)
        except NotFoundError:
            return ""
        except UnsupportedContentError as error:
            return error.message
        self._tags[tag.name] = digest
        return "it names a manifest that the repository does not hold" if digest in self._broken and not is_referrers_tag(tag.name) else ""

    def _read_root(self, tag: ListedTag) -> str:
        reference = self.repository.with_tag(tag.name)
        record = self._state.get(str(reference)) if self._recorded is not None else None
        digest = tag.digest
        if record is not None and record.is_confirmed:
            if digest is None:
                found = self._client.resolve(reference)
                if found is None:
                    raise self._client.make_operation("resolve", reference).make_error(NotFoundError, "deleted meanwhile")
                digest = found.digest
            if digest == record.digest:
                self._believe(digest)
                return digest
        if digest is not None and digest in self._manifests:
            self._flights.wait(digest)
            return digest
        manifest = self._client.pull_manifest(reference if digest is None else self.repository.with_digest(digest))
        self._add(manifest, depth=1)
        return manifest.digest

    def _believe(self, digest: str) -> None:
        """Add all that the state knows of the repository."""
        if digest not in self._manifests:
            self._manifests[digest] = None
        if self._recorded is not None:
            self._blobs.update(self._recorded)
            self._recorded.clear()

    def _add(self, manifest: Manifest, *, depth: int) -> None:
        # Whether a part is missing is known only once all were read.
        self._flights.wait(manifest.digest)
        if self._manifests.get(manifest.digest) is None:
            self._manifests[manifest.digest] = manifest.size_bytes
            self._flights.run(manifest.digest, lambda: self._add_parts(manifest, depth=depth))

    def _add_parts(self, manifest: Manifest, *, depth: int) -> None:
        if manifest.subject is not None:
            self._referrers.setdefault(manifest.subject.digest, set()).add(manifest.digest)
        for blob in manifest.blobs:
            # Registries may lack an external layer.
            if not blob.is_external:
                self._blobs[blob.digest] = blob.size_bytes
        for child in manifest.children:
            if not self._add_child(child.digest, child.media_type, depth=depth):
                self._broken.add(manifest.digest)

    def _add_child(self, digest: str, media_type: str, *, depth: int) -> bool:
        """Read a manifest that another names; return whether it is there."""
        self._flights.wait(digest)
        if digest in self._manifests or digest in self._blobs:
            return digest not in self._broken
        if depth >= _DEPTH_LIMIT:
            return False
        try:
            self._add(self._client.pull_manifest(self.repository.with_digest(digest), described_as=media_type), depth=depth + 1)
        except NotFoundError:
            return False
        return digest not in self._broken

    def _read_referrers(self, subject: str, *, depth: int) -> None:
        if subject in self._subjects or depth > _DEPTH_LIMIT:
            return
        self._subjects.add(subject)
        for found in self._client.list_referrers(self.repository, subject) or ():
            if self._add_child(found.digest, found.media_type, depth=1):
                self._referrers.setdefault(subject, set()).add(found.digest)
                self._read_referrers(found.digest, depth=depth + 1)


def _list_place(place: Place, lister: StoreLister) -> Iterator[tuple[str, TagListing | None]]:
    """Yield each repository below *place*, and *place* itself if it is one."""
    own: TagListing | None = None
    if place.path:
        try:
            own = lister.tags(place.path)
        except (NotFoundError, AccessDeniedError, AuthenticationError):
            # Some registries answer 401 or 403 for what does not exist.
            own = None
        if own is not None and own.tags:
            yield place.path, own
    try:
        found = lister.repositories(place.path)
    except RegistryError:
        # A registry that does not list its repositories has this one all the same.
        if own is None or not own.tags:
            raise
        return
    for one in found.repositories:
        yield one.path, one.tags


def _group_blobs(state: StateStore) -> dict[str, DigestSizes]:
    """Return what each repository holds, as *state* says."""
    grouped: dict[str, DigestSizes] = {}
    for about, text in state.snapshot().notes[BLOB].items():
        registry, _, digest = about.partition(" ")
        note = parse_blob_note(text)
        for path in note.repositories:
            grouped.setdefault(f"{registry}/{path}", DigestSizes())[digest] = note.size_bytes
    return grouped
