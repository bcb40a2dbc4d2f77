"""
What one copy does again after the destination refused a manifest.

A refusal that names parts of the image concerns those. One that names none concerns what the copy took for granted: blobs that a record
or this run says are there, and mounts. Which code a registry uses does not matter: they use many, and some only say "invalid".
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Set
from enum import IntEnum

from imgsync.errors import ImmutableTagError, NotFoundError, QuotaExceededError, RegistryError, RejectedError, TooLargeError

# ECR: LayersNotFoundException, ReferencedImagesNotFoundException, and BLOB_UPLOAD_UNKNOWN over the registry API.
_PART_MISSING_CODES = {
    "MANIFEST_BLOB_UNKNOWN",
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_UNKNOWN",
    "MANIFEST_UNKNOWN",
    "LAYERSNOTFOUNDEXCEPTION",
    "REFERENCEDIMAGESNOTFOUNDEXCEPTION",
}
_INTERNAL_ERROR = 500


class Need(IntEnum):
    """What a part needs before the manifest is pushed (again)."""

    COPY = 0
    """Records count; a blob may be mounted."""

    ASK = 1
    """Only this run's knowledge counts: ask the destination."""

    SEND = 2
    """Send the bytes, whatever the destination says."""


class Repair:
    """The parts of one copy, and what each of them needs."""

    def __init__(self, *, asks: bool = False) -> None:
        """Begin; with *asks* no record counts, and the destination is asked."""
        self._least = Need.ASK if asks else Need.COPY
        self._needs: dict[str, Need] = {}
        self._blobs: set[str] = set()
        self._manifests: set[str] = set()
        self._believed: set[str] = set()
        self._mounted: set[str] = set()
        self._named: set[str] = set()
        self._is_source_retried = False
        # By digest of the refused manifest; siblings are pushed, and refused, in parallel.
        self._refusals: dict[str, RegistryError] = {}

    def need(self, digest: str) -> Need:
        """Return what the part needs."""
        return self._needs.get(digest, self._least)

    def begin_attempt(self) -> None:
        """Forget what the last attempt took for granted."""
        self._believed.clear()
        self._mounted.clear()
        self._refusals.clear()

    def add_blob(self, digest: str) -> None:
        """Note a blob of the image or of its referrers."""
        self._blobs.add(digest)

    def add_manifest(self, digest: str) -> None:
        """Note a manifest below the image or a referrer."""
        self._manifests.add(digest)

    def note_believed(self, digest: str) -> None:
        """Note that a part was skipped, because it should be there."""
        self._believed.add(digest)

    def note_mounted(self, digest: str) -> None:
        """Note that a blob was mounted."""
        self._mounted.add(digest)

    def note_refusal(self, error: RegistryError, manifest: str) -> None:
        """Note that the destination refused the *manifest* with this digest."""
        self._refusals[manifest] = error

    def plan(self, error: RegistryError) -> frozenset[str] | None:
        """Return the parts to bring again, None if that cannot help."""
        if isinstance(error, NotFoundError) and error.origin == "source" and not self._is_source_retried:
            # A pull-through cache may have the blob after a first 404.
            self._is_source_retried = True
            return frozenset()
        refusals = self._refusals.values()
        if error not in refusals or not all(map(_may_concern_parts, refusals)):
            return None
        says_missing = any(code.upper() in _PART_MISSING_CODES for refusal in refusals for code in refusal.codes)
        digests = {digest for refusal in refusals for digest in refusal.digests}
        named = digests & (self._blobs | self._manifests) - self._refusals.keys()
        doubtful = self._find_doubtful(named)
        if not doubtful and not says_missing:
            return None
        # Without a name: whatever is missing, manifests cost little to push again, and blobs are asked for first.
        again = doubtful or self._blobs | self._manifests
        return frozenset(self._escalate(again, may_send=named or (again if says_missing else frozenset())))

    def _find_doubtful(self, named: Set[str]) -> Set[str]:
        """Return what the refusals give reason to doubt."""
        if not named:
            return self._believed | self._mounted
        # Many registries name only the first missing part. Once they name another one, any may be missing.
        names_another = bool(self._named) and not named <= self._named
        self._named |= named
        return named | self._believed if names_another else named

    def _escalate(self, digests: Iterable[str], *, may_send: Container[str]) -> Iterable[str]:
        """Raise the needs of *digests*; yield those to bring again."""
        for digest in digests:
            before = self.need(digest)
            if digest in self._manifests:
                yield digest
            elif before is not Need.SEND:
                # A mount that was confirmed is not asked about: some registries confirm what they do not have.
                is_sent = digest in self._mounted or (before is Need.ASK and digest in may_send)
                self._needs[digest] = Need.SEND if is_sent else Need.ASK
                yield digest
            # Else it was sent for this refusal already, and only time can help.


def _may_concern_parts(error: RegistryError) -> bool:
    if isinstance(error, ImmutableTagError | QuotaExceededError | TooLargeError):
        return False
    return isinstance(error, RejectedError | NotFoundError) or error.status == _INTERNAL_ERROR
