"""Verify the digests of blobs whose parts lie in several volumes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from imgsync.bundle.model import Bundle
from imgsync.bundle.open_bundle import OpenBundle
from imgsync.bundle.volume_layout import Member
from imgsync.errors import BundleError


class CutBlobs:
    """Hashes whole blobs while their parts are read."""

    def __init__(self, bundle: Bundle) -> None:
        """Start with no byte of any cut blob of *bundle*."""
        self._hashers = {blob.digest: hashlib.new(blob.digest.partition(":")[0]) for blob in bundle.blobs if blob.parts}
        self._seen_bytes = dict.fromkeys(self._hashers, 0)

    def take(self, member: Member, position: int, chunk: bytes) -> None:
        """Hash *chunk* at *position* of a part, if it is next."""
        if self._seen_bytes[member.digest] == member.start + position:
            self._hashers[member.digest].update(chunk)
            self._seen_bytes[member.digest] += len(chunk)

    def find_wrong(self, opened: OpenBundle) -> Iterator[tuple[str, str]]:
        """Yield each blob that its parts do not make up.

        Parts that came too early are read again.
        """
        for digest, hasher in self._hashers.items():
            try:
                for chunk in opened.read(digest, start=self._seen_bytes[digest]):
                    hasher.update(chunk)
            except (BundleError, OSError):
                # The volume is missing or damaged, which the check of the volume says.
                continue
            if f"{hasher.name}:{hasher.hexdigest()}" != digest:
                yield digest, "its parts together do not match its digest"
