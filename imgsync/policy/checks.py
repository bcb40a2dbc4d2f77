"""Check one image: size, media types, referrers and signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from imgsync.config.model import Mirror, RegistriesConfig, Requirements
from imgsync.errors import RegistryError
from imgsync.filters.globs import compile_glob
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.referrers import Referrer, ReferrerReader
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import read_annotated_layers
from imgsync.policy.cosign import BUNDLE, SIGNATURE_ANNOTATION, SIMPLE_SIGNING, SignedImage, find_bundle_problem, find_payload_problem
from imgsync.text.sanitize import sanitize_message
from imgsync.text.units import format_bytes

# Payloads have some hundred bytes, bundles some thousand.
_SIGNATURE_LIMIT_BYTES = 256 << 10
_SIGNATURES_LIMIT = 100
_SHOWN = 3
_SBOM = "sbom"
_SBOM_KINDS = (
    "application/spdx+json",
    "application/vnd.cyclonedx+json",
    "application/vnd.cyclonedx+xml",
    "application/vnd.syft+json",
    "text/spdx",
    "text/spdx+json",
    "text/spdx+xml",
    "https://spdx.dev/Document",
    "https://cyclonedx.org/bom",
)


class Checks:
    """Checks one image, reading only what requirements need."""

    def __init__(
        self,
        mirror: Mirror,
        client: ImageStore,
        repository: Repository,
        digest: str,
        *,
        config: RegistriesConfig,
        cache: ManifestCache,
        referrers: ReferrerReader,
    ) -> None:
        """Check the image *digest* as *mirror* copies it."""
        self._mirror = mirror
        self._client = client
        self._signed = SignedImage(repository, digest)
        self._config = config
        self._cache = cache
        self._referrers = referrers
        # The content read last: several keys sign the same payload. Only one, because its size is up to the source.
        self._content = ("", b"")

    def find_problems(self, require: Requirements) -> Iterator[str]:
        """
        Yield the requirements that the image does not meet.

        Raises:
            ImgsyncError: The source fails.
        """
        if require.max_bytes is not None and self._image.size_bytes > require.max_bytes:
            yield f"size {format_bytes(self._image.size_bytes)} exceeds max_size {format_bytes(require.max_bytes)}"
        if require.media_types:
            yield from self._find_other_types(require.media_types)
        for artifact in require.artifacts:
            if not self._has_artifact(artifact):
                yield f"no referrer of type {artifact}"
        if require.keys or require.identities:
            yield from self._find_missing_signature(require)

    @cached_property
    def _image(self) -> Image:
        """The image as it will be pushed."""
        pulled = pull_manifest(self._client, self._signed.repository.with_digest(self._signed.digest), self._cache)
        platforms = None if self._mirror.platforms is None else [parse_platform(text) for text in self._mirror.platforms]
        selected = select_root(self._client, self._signed.repository, pulled, platforms, cache=self._cache)
        return read_image(self._client, self._signed.repository, selected, cache=self._cache, limit=self._mirror.concurrency.blobs)

    def _find_other_types(self, allowed: Iterable[str]) -> Iterator[str]:
        globs = [compile_glob(text.lower()) for text in allowed]
        manifests = {part.media_type for part in (self._image.root, *self._image.below)}
        for media_type in sorted(manifests | {blob.media_type for blob in self._image.blobs}):
            if not any(glob.fullmatch(media_type) for glob in globs):
                yield f"media type {sanitize_message(media_type)[:100] or 'unnamed'} is not in media_types"

    def _has_artifact(self, artifact: str) -> bool:
        types = _SBOM_KINDS if artifact == _SBOM else (artifact,)
        return bool(self._read_referrers(types))

    def _read_referrers(self, types: tuple[str, ...]) -> tuple[Referrer, ...]:
        """Return the direct referrers with one of *types*."""
        repository, limit = self._signed.repository, self._mirror.concurrency.blobs
        read = self._referrers.read(self._client, repository, self._signed.digest, types=types, limit=limit, follow=False)
        if read.error is not None:
            raise read.error
        return read.found

    def _find_missing_signature(self, require: Requirements) -> Iterator[str]:
        reasons: Counter[str] = Counter()
        unread: RegistryError | None = None
        for number, (layer, notes) in enumerate(layer for one in self._read_referrers((SIMPLE_SIGNING, BUNDLE)) for layer in read_annotated_layers(one.root)):
            if number == _SIGNATURES_LIMIT:
                reasons[f"after the first {_SIGNATURES_LIMIT}, not checked"] += 1
                break
            try:
                reason = self._find_signature_problem(layer, notes, require)
            except RegistryError as error:
                # Another signature may be valid.
                unread = unread or error
                continue
            if not reason:
                return
            reasons[reason] += 1
        if unread is not None:
            raise unread
        yield f"no signature by {' or '.join((*require.keys, *require.identities))}: {_format_reasons(reasons)}"

    def _find_signature_problem(self, layer: Descriptor, notes: Mapping[str, str], require: Requirements) -> str:
        """Return why *layer* is not a required signature, or ""."""
        if layer.media_type not in {BUNDLE, SIMPLE_SIGNING}:
            return "not a signature"
        if reason := self._read_content(layer):
            return reason
        content, keys = self._content[1], [self._config.keys[name] for name in require.keys]
        if layer.media_type == SIMPLE_SIGNING:
            return find_payload_problem(content, notes.get(SIGNATURE_ANNOTATION, ""), keys, self._signed)
        reason = find_bundle_problem(content, keys, self._signed) if keys else "by no configured key"
        if reason and require.identities:
            # Imported now: sigstore is slow to import.
            from imgsync.policy.sigstore import find_identity_problem

            return find_identity_problem(content, [self._config.identities[name] for name in require.identities], self._signed)
        return reason

    def _read_content(self, layer: Descriptor) -> str:
        """Read *layer* into `_content`; return the problem, or ""."""
        if layer.size_bytes > _SIGNATURE_LIMIT_BYTES:
            return f"larger than {format_bytes(_SIGNATURE_LIMIT_BYTES)}"
        if layer.digest != self._content[0]:
            content = self._client.read_blob(self._signed.repository, layer, limit_bytes=_SIGNATURE_LIMIT_BYTES)
            if compute_digest(content, like=layer.digest) != layer.digest:
                return "damaged in transit"
            self._content = (layer.digest, content)
        return ""


def _format_reasons(reasons: Mapping[str, int]) -> str:
    """Return *reasons* with their counts, in words."""
    if not reasons:
        return "none found"
    shown = [f"{count} {reason}" for reason, count in sorted(reasons.items())[:_SHOWN]]
    return f"of {sum(reasons.values())} found, {', '.join(shown)}{', …' if len(reasons) > _SHOWN else ''}"
