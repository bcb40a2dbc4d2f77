"""One image looked at: its size, its media types, what refers to it, and who signed it. Asks the source alone, for no more than is required."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from imgsync.config.model import Mirror, RegistriesConfig, Requirements
from imgsync.errors import RegistryError
from imgsync.filters.globs import compile_glob
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.referrers import Referrer, ReferrerReader
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.manifest import Descriptor, parse_platform
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import read_annotated_layers
from imgsync.policy.cosign import BUNDLE, SIGNATURE_ANNOTATION, SIMPLE_SIGNING, Signed, bundle_problem, simple_problem
from imgsync.text.sanitize import sanitize_message
from imgsync.text.units import format_bytes

# Payloads are some hundred bytes, bundles some thousand.
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
    """The checks of one image, by its digest at the source; what several of them need is asked for once."""

    def __init__(
        self,
        mirror: Mirror,
        client: RegistryClient,
        repository: Repository,
        digest: str,
        *,
        config: RegistriesConfig,
        cache: ManifestCache,
        referrers: ReferrerReader,
    ) -> None:
        """Look at the image of *digest* in *repository*, as *mirror* copies it."""
        self._mirror = mirror
        self._client = client
        self._signed = Signed(repository, digest)
        self._config = config
        self._cache = cache
        self._referrers = referrers
        # What was read last: two keys sign the same words, and more than one of a stranger's is not held.
        self._content = ("", b"")

    def problems(self, require: Requirements) -> Iterator[str]:
        """
        Yield in words each thing that *require* asks for and that the image lacks.

        Raises:
            ImgsyncError: The source fails, so that it cannot be known.
        """
        if require.max_bytes is not None and self._image.size_bytes > require.max_bytes:
            yield f"{format_bytes(self._image.size_bytes)} are more than max_size {format_bytes(require.max_bytes)}"
        if require.media_types:
            yield from self._foreign_types(require.media_types)
        for wanted in require.artifacts:
            if not self._has_artifact(wanted):
                yield f"nothing of type {wanted} refers to it"
        if require.keys or require.identities:
            yield from self._unsigned(require)

    @cached_property
    def _image(self) -> Image:
        """The image as it will be pushed, with the platforms that the mirror takes."""
        pulled = pull_manifest(self._client, self._signed.repository.with_digest(self._signed.digest), self._cache)
        platforms = None if self._mirror.platforms is None else [parse_platform(text) for text in self._mirror.platforms]
        root = select_root(pulled, platforms)
        return read_image(self._client, self._signed.repository, root, cache=self._cache, limit=self._mirror.concurrency.blobs)

    def _foreign_types(self, allowed: Iterable[str]) -> Iterator[str]:
        globs = [compile_glob(text) for text in allowed]
        manifests = {part.media_type for part in (self._image.root, *self._image.below)}
        for media_type in sorted(manifests | {blob.media_type for blob in self._image.blobs}):
            if not any(glob.fullmatch(media_type) for glob in globs):
                yield f"media type {sanitize_message(media_type)[:100] or 'unnamed'} is not among media_types"

    def _has_artifact(self, wanted: str) -> bool:
        types = _SBOM_KINDS if wanted == _SBOM else (wanted,)
        return bool(self._refer(types))

    def _refer(self, types: tuple[str, ...]) -> tuple[Referrer, ...]:
        """Return what refers to the image itself, of these types."""
        repository, limit = self._signed.repository, self._mirror.concurrency.blobs
        return self._referrers.read(self._client, repository, self._signed.digest, types=types, limit=limit, follow=False).found

    def _unsigned(self, require: Requirements) -> Iterator[str]:
        reasons: Counter[str] = Counter()
        unread: RegistryError | None = None
        for number, (layer, notes) in enumerate(layer for one in self._refer((SIMPLE_SIGNING, BUNDLE)) for layer in read_annotated_layers(one.root)):
            if number == _SIGNATURES_LIMIT:
                reasons[f"those after the first {_SIGNATURES_LIMIT} not looked at"] += 1
                break
            try:
                reason = self._reason(layer, notes, require)
            except RegistryError as error:
                # Another one may do.
                unread = unread or error
                continue
            if not reason:
                return
            reasons[reason] += 1
        if unread is not None:
            raise unread
        yield f"no signature by {' or '.join((*require.keys, *require.identities))}: {_told(reasons)}"

    def _reason(self, layer: Descriptor, notes: Mapping[str, str], require: Requirements) -> str:
        """Return why what *layer* holds is no signature of the image by whom *require* names, "" when it is one."""
        if layer.media_type not in {BUNDLE, SIMPLE_SIGNING}:
            return "of another kind"
        if reason := self._content_reason(layer):
            return reason
        content, keys = self._content[1], [self._config.keys[name] for name in require.keys]
        if layer.media_type == SIMPLE_SIGNING:
            return simple_problem(content, notes.get(SIGNATURE_ANNOTATION, ""), keys, self._signed)
        reason = bundle_problem(content, keys, self._signed) if keys else "by nobody"
        if reason and require.identities:
            # Imported now: it brings a library that is slow to import.
            from imgsync.policy.sigstore import identity_problem

            return identity_problem(content, [self._config.identities[name] for name in require.identities], self._signed)
        return reason

    def _content_reason(self, layer: Descriptor) -> str:
        """Return why the bytes of *layer* are not to be had, "" when they are in `_content`."""
        if layer.size_bytes > _SIGNATURE_LIMIT_BYTES:
            return f"larger than {format_bytes(_SIGNATURE_LIMIT_BYTES)}"
        if layer.digest != self._content[0]:
            content = self._client.read_blob(self._signed.repository, layer, limit_bytes=_SIGNATURE_LIMIT_BYTES)
            if compute_digest(content, like=layer.digest) != layer.digest:
                return "damaged on its way"
            self._content = (layer.digest, content)
        return ""


def _told(reasons: Mapping[str, int]) -> str:
    """Return *reasons*, each with how often it was met, in words."""
    if not reasons:
        return "there is none"
    shown = [f"{count} {reason}" for reason, count in sorted(reasons.items())[:_SHOWN]]
    return f"of {sum(reasons.values())} found, {', '.join(shown)}{', …' if len(reasons) > _SHOWN else ''}"
