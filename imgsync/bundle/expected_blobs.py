"""
Find at the destinations what a bundle leaves out.

The creator of the bundle left out what an inventory or an earlier bundle says is there. Each such blob is asked for once per destination registry, unless
the state has a record of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field

from imgsync.bundle.open_bundle import OpenBundle
from imgsync.bundle.source_index import SourceIndex
from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import AccessDeniedError, AuthenticationError, BundleError, NotFoundError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_bytes, format_count
from imgsync.transfer.known_blobs import KnownBlobs

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class BlobHome:
    """A repository of a destination that has a blob."""

    store: ImageStore
    repository: Repository


@dataclass(slots=True)
class MissingParts:
    """The images that lack a part, with the reasons."""

    images: dict[Reference, str] = field(default_factory=dict)

    def add(self, reference: Reference, reason: str) -> None:
        """Note why the image *reference* is incomplete."""
        self.images.setdefault(reference, reason)

    def add_volumes(self, reference: Reference, volumes: Sequence[str]) -> None:
        """Note that *volumes* with a manifest are missing."""
        self.add(reference, f"in {', '.join(volumes)}, which is missing")


class ExpectedBlobs:
    """
    The blobs that a bundle leaves out, or whose volume is missing.

    One per run.
    """

    def __init__(
        self,
        index: SourceIndex,
        volumes: OpenBundle,
        known: KnownBlobs,
        missing: MissingParts,
        *,
        is_allowed: Callable[[Repository], bool],
        believes_records: bool,
    ) -> None:
        """
        Ask for what *index* expects.

        Args:
            index: What the bundle has and expects.
            volumes: Its volumes.
            known: Which repositories have a blob, by record; learns which were found.
            missing: Receives the images that lack a part.
            is_allowed: Whether a blob may be taken from a repository of the destination.
            believes_records: Whether a record of the state stands for the answer of a registry.
        """
        self._index = index
        self._volumes = volumes
        self._known = known
        self._missing = missing
        self._is_allowed = is_allowed
        self._believes_records = believes_records
        self._found: dict[tuple[str, str], bool] = {}
        self._homes: dict[str, BlobHome] = {}
        self._flights: SingleFlight[tuple[str, str]] = SingleFlight()

    def check(self, store: ImageStore, reference: Reference, blobs: Sequence[Descriptor]) -> None:
        """
        Check that the bundle or the destination has each of *blobs*.

        Args:
            store: The destination.
            reference: The tag to push.
            blobs: What its image and its referrers consist of.

        Raises:
            BundleError: One is missing; the message says where it should be.
            RegistryError: The destination cannot be asked.
        """
        lacking = [blob for blob in blobs if not self._volumes.has(blob.digest) and not self._is_there(store, reference.repository, blob)]
        if not lacking:
            return
        shown = "; ".join(self.explain(blob.digest) for blob in lacking[:_SHOWN])
        more = f"; and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        message = f"{format_count(len(lacking), 'blob')} of the image {'is' if len(lacking) == 1 else 'are'} missing: {shown}{more}"
        self._missing.add(reference, message)
        raise BundleError(message, hint=self._advise(lacking))

    def explain(self, digest: str) -> str:
        """Return which blob is missing, and who said where it is."""
        expected, held = self._index.expects.get(digest), self._index.blobs.get(digest)
        size = expected.size_bytes if expected is not None else held.size_bytes if held is not None else 0
        what = f"{digest} ({format_bytes(size)})"
        if expected is not None:
            # Of several inventories, the document has one id for all.
            kind = "inventory" if self._index.document.inventory else "bundle"
            where = f", in {', '.join(expected.repositories[:_SHOWN])}" if expected.repositories else ""
            return f"{what}, which {kind} {shorten_digest(expected.held_by) or expected.held_by} says is at the destination{where}"
        if held is not None:
            return f"{what}, which lies in {', '.join(self._volumes.missing_volumes(digest))}"
        return f"{what}, which the bundle does not mention"

    def find_home(self, digest: str) -> BlobHome | None:
        """Return a repository of a destination that has the blob, if any."""
        return self._homes.get(digest)

    def _is_there(self, store: ImageStore, repository: Repository, blob: Descriptor) -> bool:
        """Return whether the destination has the blob, in this or another repository."""
        place = self._known.at(store.registry, blob.digest)
        if place.is_seen_in(repository.path) or (self._believes_records and place.is_in(repository.path) and place.is_recorded_as(blob)):
            return True
        key = (store.registry, blob.digest)
        while key not in self._found:
            self._flights.run(key, lambda: self._find(store, repository, blob))
        return self._found[key] or self._ask(store, repository, blob)

    def _find(self, store: ImageStore, repository: Repository, blob: Descriptor) -> None:
        """Ask one repository after the other for the blob."""
        self._found[store.registry, blob.digest] = any(self._ask(store, one, blob) for one in self._list_repositories(store, repository, blob))

    def _list_repositories(self, store: ImageStore, repository: Repository, blob: Descriptor) -> Iterator[Repository]:
        expected = self._index.expects.get(blob.digest)
        named = expected.repositories if expected is not None else ()
        paths = dict.fromkeys((*self._known.at(store.registry, blob.digest).repositories, *named, repository.path))
        found = (Repository(store.registry, path) for path in paths)
        return (one for one in found if one == repository or self._is_allowed(one))

    def _ask(self, store: ImageStore, repository: Repository, blob: Descriptor) -> bool:
        place = self._known.at(store.registry, blob.digest)
        is_recorded = self._believes_records and place.is_in(repository.path) and place.is_recorded_as(blob)
        try:
            if not is_recorded and not store.has_blob(repository, blob):
                return False
        except (NotFoundError, AccessDeniedError, AuthenticationError):
            # The repository does not exist, or is not for us.
            return False
        if not is_recorded:
            place.mark_present(repository.path)
        self._homes.setdefault(blob.digest, BlobHome(store, repository))
        return True

    def _advise(self, lacking: Sequence[Descriptor]) -> str:
        if any(blob.digest in self._index.blobs for blob in lacking):
            return "add the folder that has the volume with --volumes, or have the volume made again: imgsync bundle create --volume NUMBER"
        return "load the bundle that has it first, or create this one again with a new inventory: imgsync inventory"
