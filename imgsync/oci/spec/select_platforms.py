"""Reduce an index to some platforms."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.strict_json import dump_json, parse_object


def select_platforms(index: Manifest, platforms: Sequence[Platform]) -> Manifest:
    """
    Return an index with only the children of *platforms*.

    This is *index* itself if all children stay. Children keep their bytes and order. An attestation stays if its image does, and entries
    without a platform stay. The same input gives the same bytes, and so the same digest.

    Raises:
        UnsupportedContentError: No child has one of *platforms*.
    """
    kept = {child.digest for child in index.children if child.platform and any(platform.matches(child.platform) for platform in platforms)}
    if not kept:
        offered = ", ".join(sorted({str(child.platform) for child in index.children if child.platform and not child.attested_digest})) or "none"
        raise UnsupportedContentError(f"the image has none of the requested platforms; it has {offered}")
    stays = [child.digest in kept or child.attested_digest in kept or child.platform is None for child in index.children]
    if all(stays):
        return index
    document = parse_object(index.raw)
    document["manifests"] = [entry for entry, stay in zip(document["manifests"], stays, strict=True) if stay]
    return parse_manifest(dump_json(document), content_type=index.media_type, algorithm=index.digest)
