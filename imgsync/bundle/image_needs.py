"""Find out which blobs of a bundle each image needs."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.bundle.model import BundleImage
from imgsync.bundle.open_bundle import OpenBundle
from imgsync.errors import ImgsyncError
from imgsync.oci.spec.manifest import MANIFEST_LIMIT, parse_manifest
from imgsync.text.sanitize import sanitize_message


class ImageNeeds:
    """Reads the manifests of a bundle, each once."""

    def __init__(self, opened: OpenBundle) -> None:
        """Read manifests from *opened*."""
        self._opened = opened
        self._known = {blob.digest for blob in opened.document.blobs}
        self._expected = {one.digest for one in opened.document.expects}
        self._blobs: dict[str, tuple[str, ...]] = {}

    def list_needs(self, image: BundleImage) -> Iterator[tuple[str, str]]:
        """
        Yield each blob that *image* needs, with why it is lost.

        The reason is "" for one that is there. A blob that the bundle neither holds nor expects is lost. Manifests and blobs of referrers count.
        """
        for manifest in dict.fromkeys((*image.manifests, *(one.digest for one in image.referrers))):
            if manifest not in self._known:
                # The destination has it, with its blobs.
                continue
            try:
                blobs = self._read_blobs(manifest)
            except (ImgsyncError, OSError) as error:
                yield manifest, sanitize_message(str(error))
                continue
            yield manifest, ""
            for digest in blobs:
                if digest in self._known:
                    yield digest, ""
                elif digest not in self._expected:
                    yield digest, "the bundle neither holds nor expects it"

    def _read_blobs(self, digest: str) -> tuple[str, ...]:
        if digest not in self._blobs:
            manifest = parse_manifest(self._opened.read_whole(digest, limit_bytes=MANIFEST_LIMIT), algorithm=digest)
            # External content may lie elsewhere.
            self._blobs[digest] = tuple(blob.digest for blob in manifest.blobs if not blob.is_external or blob.digest in self._known)
        return self._blobs[digest]
