"""
Where blobs and manifests are at the destinations.

The state of a blob is kept here and nowhere else, once per destination registry. How its bytes are read is the part of
`shared_read`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.system.dataclass import dataclass

_Flights = SingleFlight[tuple[str, str, str]]
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Recorded:
    """
    What earlier runs recorded, by destination registry and digest.

    Args:
        repositories: Returns the paths of repositories with the blob.
        sources: Returns the source registries that gave it.
        sizes: Returns its size, None if unknown.
    """

    repositories: Callable[[str, str], tuple[str, ...]]
    sources: Callable[[str, str], tuple[str, ...]]
    sizes: Callable[[str, str], int | None]


class BlobState(Enum):
    """
    What this run knows of a blob at one destination registry.

    ```
    MISSING ── deliver_once ──> ARRIVING ── mark_present ──> PRESENT
       ^                           │                            │
       └───── delivery failed ─────┘                            │
       └───────── mark_missing, in the last repository ─────────┘
    ```

    Records of earlier runs are not a state: they excuse copying to the repositories they name, and say where to mount
    from and which source registries gave the blob, until `mark_missing` contradicts them.
    """

    MISSING = auto()
    """Not seen in any repository; the first copy to need it delivers it."""

    ARRIVING = auto()
    """One copy sends or mounts it; the others wait."""

    PRESENT = auto()
    """Seen in at least one repository; other repositories mount it from there, in parallel."""


class BlobAtRegistry:
    """One blob (or manifest) at one destination registry."""

    __slots__ = ("_contradicted", "_flights", "_key", "_recorded", "_seen", "_size_bytes", "_sources")

    def __init__(self, registry: str, digest: str, *, recorded: Recorded, flights: _Flights) -> None:
        """Begin with what earlier runs *recorded*."""
        self._key = (registry, digest)
        self._recorded = recorded
        self._flights = flights
        self._seen: dict[str, None] = {}
        self._contradicted = _NONE
        self._sources = _NONE
        self._size_bytes: int | None = None

    @property
    def state(self) -> BlobState:
        """Return what this run knows of it."""
        if self._seen:
            return BlobState.PRESENT
        return BlobState.ARRIVING if self._flights.is_running((*self._key, "")) else BlobState.MISSING

    @property
    def repositories(self) -> list[str]:
        """Return paths of repositories that should hold it, confirmed ones first."""
        recorded = self._recorded.repositories(*self._key)
        return [*self._seen, *(path for path in recorded if path not in self._seen and path not in self._contradicted)]

    def is_in(self, path: str) -> bool:
        """Return whether the repository at *path* should hold it."""
        return path in self._seen or path in self.repositories

    def is_seen_in(self, path: str) -> bool:
        """Return whether this run saw it in the repository at *path*."""
        return path in self._seen

    def was_given_by(self, source: str) -> bool:
        """Return whether the *source* registry has shown that it has it."""
        return source in self._sources or source in self._recorded.sources(*self._key)

    def mark_given(self, source: str) -> None:
        """Note that the *source* registry has it."""
        self._sources |= {source}

    @property
    def size_bytes(self) -> int | None:
        """Return its size as any run found it, None if unknown."""
        return self._recorded.sizes(*self._key) if self._size_bytes is None else self._size_bytes

    def learn_size(self, size_bytes: int) -> None:
        """Note the size of content that matched its digest."""
        self._size_bytes = size_bytes

    def is_recorded_as(self, blob: Descriptor) -> bool:
        """
        Return whether no record gives it another size than *blob* does.

        Otherwise the image or the record is wrong, and only the content shows which.
        """
        return self._recorded.sizes(*self._key) in {None, blob.size_bytes}

    def check_size(self, blob: Descriptor) -> None:
        """
        Check that *blob* does not give another size than the content has.

        A blob that is sent once for several images is read with the size that one of them gives.

        Raises:
            UnsupportedContentError: It does.
        """
        if self._size_bytes not in {None, blob.size_bytes}:
            detail = f"the image gives the blob {blob.digest} a size of {blob.size_bytes} bytes, but it has {self._size_bytes}"
            raise UnsupportedContentError(detail, hint="the image is damaged at its source; ask its publisher to push it again")

    def mark_present(self, path: str) -> None:
        """Note that the repository at *path* holds it."""
        self._seen[path] = None

    def mark_missing(self, path: str) -> None:
        """Note that the repository at *path* lacks it, despite any record."""
        self._seen.pop(path, None)
        self._contradicted |= {path}

    def deliver_once(self, path: str, deliver: Callable[[], object]) -> bool:
        """
        Run *deliver*, or await the running delivery; return whether it ran.

        One delivery per registry until it is PRESENT. From then on one per repository, because those only mount it.
        """
        return self._flights.run((*self._key, path if self._seen else ""), deliver)

    def wait(self) -> None:
        """Wait until it is not ARRIVING any more, successful or not."""
        self._flights.wait((*self._key, ""))


class KnownBlobs:
    """All blobs and manifests of a run, by destination registry and digest."""

    def __init__(self, recorded: Recorded) -> None:
        """Begin with what earlier runs *recorded*."""
        self._recorded = recorded
        self._flights: _Flights = SingleFlight()
        self._blobs: dict[tuple[str, str], BlobAtRegistry] = {}

    def at(self, registry: str, digest: str) -> BlobAtRegistry:
        """Return the blob of *digest* at *registry*."""
        blob = self._blobs.get((registry, digest))
        if blob is None:
            blob = self._blobs[(registry, digest)] = BlobAtRegistry(registry, digest, recorded=self._recorded, flights=self._flights)
        return blob

    def is_in(self, repository: Repository, digest: str) -> bool:
        """Return whether *repository* should hold the digest."""
        return self.at(repository.registry, digest).is_in(repository.path)

    def mark_present(self, repository: Repository, digest: str) -> None:
        """Note that *repository* holds the digest."""
        self.at(repository.registry, digest).mark_present(repository.path)

    def mark_missing(self, repository: Repository, digest: str) -> None:
        """Note that *repository* does not hold the digest."""
        self.at(repository.registry, digest).mark_missing(repository.path)
