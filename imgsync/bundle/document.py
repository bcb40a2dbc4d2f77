"""Write and read `imgsync-bundle.json`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from imgsync.bundle.canonical_json import VALUE_LIMIT, dump_canonical, parse_canonical
from imgsync.bundle.check_bundle import find_contradiction
from imgsync.bundle.json_fields import Fields
from imgsync.bundle.model import FORMAT, Bundle, BundleBlob, BundleImage, BundlePart, BundleReferrer, BundleVolume, Expected
from imgsync.bundle.volume_layout import UNKNOWN
from imgsync.errors import BundleError, UsageError
from imgsync.oci.spec.bounded_json import count_values
from imgsync.oci.spec.digest import compute_digest
from imgsync.text.units import format_bytes

LIMIT_BYTES = 64 << 20


def with_id(bundle: Bundle) -> Bundle:
    """Return *bundle* with the id of its content."""
    return replace(bundle, id=compute_digest(dump_canonical(_encode(bundle))))


def encode_bundle(bundle: Bundle) -> bytes:
    """Return the document of *bundle* as canonical JSON, with its id."""
    document = _encode(bundle)
    return dump_canonical({**document, "id": compute_digest(dump_canonical(document))}) + b"\n"


def require_readable(draft: Bundle) -> None:
    """
    Check that the document of *draft* will be small enough to read.

    Raises:
        UsageError: It will.
    """
    # With an id in place of each digest that a draft lacks.
    raw = encode_bundle(replace(draft, blobs=tuple(_fill(blob) for blob in draft.blobs)))
    if len(raw) > LIMIT_BYTES or count_values(raw) > VALUE_LIMIT:
        raise UsageError(
            f"the bundle would have too many images: its document would have {format_bytes(len(raw))} and {count_values(raw):,} values; "
            f"at most {format_bytes(LIMIT_BYTES)} and {VALUE_LIMIT:,} are read",
            hint="make several bundles, each with some of the mirrors (--only) and in its own folder",
        )


def _fill(blob: BundleBlob) -> BundleBlob:
    return replace(blob, parts=tuple(replace(part, digest=UNKNOWN) for part in blob.parts))


def decode_bundle(raw: bytes, *, name: str) -> Bundle:
    """
    Return the bundle that the document *raw* describes; errors call it *name*.

    Raises:
        BundleError: It is not a document of a bundle, is not canonical, contradicts itself, or its id is that of other content.
    """
    if len(raw) > LIMIT_BYTES:
        raise BundleError(f"{name} is larger than {format_bytes(LIMIT_BYTES)}")
    document = parse_canonical(raw, name=name)
    _check_format(document, name)
    try:
        bundle = _decode(Fields(document))
    except ValueError as error:
        raise BundleError(f"{name} is damaged: {error}") from error
    written = _encode(bundle)
    if compute_digest(dump_canonical(written)) != bundle.id:
        raise BundleError(f"{name} is damaged: its content does not match its id")
    if encode_bundle(bundle) != raw:
        raise BundleError(f"{name} is damaged or was changed: it is not in the form that imgsync writes")
    if problem := find_contradiction(bundle):
        raise BundleError(f"{name} contradicts itself: {problem}")
    return bundle


def _check_format(document: dict[str, Any], name: str) -> None:
    found = document.get("format")
    if found == FORMAT:
        return
    if isinstance(found, str) and found.startswith("imgsync.bundle/"):
        raise BundleError(f"{name} has another version, {found[:40]!a}; this imgsync reads {FORMAT}", hint="use the version of imgsync that made it")
    raise BundleError(f"{name} is not the document of a bundle", hint="name the folder that `imgsync bundle create` wrote")


def _encode(bundle: Bundle) -> dict[str, Any]:
    """Return *bundle* as JSON values, without its id."""
    return {
        "format": FORMAT,
        "parent": bundle.parent or None,
        "inventory": bundle.inventory or None,
        "images": [_encode_image(image) for image in bundle.images],
        "blobs": [_encode_blob(blob) for blob in bundle.blobs],
        "expects": [_encode_expected(one) for one in bundle.expects],
        "volumes": [{"file": volume.file, "size": volume.size_bytes} for volume in bundle.volumes],
    }


def _encode_image(image: BundleImage) -> dict[str, Any]:
    return {
        "source": str(image.source),
        "destination": str(image.destination),
        "digest": image.digest,
        "media_type": image.media_type,
        "mirror": image.mirror or None,
        "manifests": list(image.manifests),
        "referrers": [
            {"subject": one.subject, "digest": one.digest, "artifact_type": one.artifact_type or None, "tag": one.tag or None} for one in image.referrers
        ],
    }


def _encode_blob(blob: BundleBlob) -> dict[str, Any]:
    place = (
        {"volume": blob.volume} if blob.volume else {"parts": [{"volume": part.volume, "size": part.size_bytes, "digest": part.digest} for part in blob.parts]}
    )
    return {"digest": blob.digest, "size": blob.size_bytes, **place}


def _encode_expected(one: Expected) -> dict[str, Any]:
    # Only in bundles for several registries.
    places = {"places": list(map(str, one.places))} if one.places else {}
    return {"digest": one.digest, "size": one.size_bytes, "repositories": list(one.repositories), "held_by": one.held_by or None, **places}


def _decode(fields: Fields) -> Bundle:
    fields.refuse_others("format", "id", "parent", "inventory", "images", "blobs", "expects", "volumes")
    return Bundle(
        images=tuple(map(_decode_image, fields.list_objects("images"))),
        blobs=tuple(map(_decode_blob, fields.list_objects("blobs"))),
        volumes=tuple(BundleVolume(one.text("file"), one.number("size")) for one in fields.list_objects("volumes", "file", "size")),
        expects=tuple(map(_decode_expected, fields.list_objects("expects", "digest", "size", "repositories", "held_by", "places"))),
        parent=fields.optional_digest("parent"),
        inventory=fields.optional_digest("inventory"),
        id=fields.digest("id"),
    )


def _decode_image(fields: Fields) -> BundleImage:
    fields.refuse_others("source", "destination", "digest", "media_type", "mirror", "manifests", "referrers")
    return BundleImage(
        source=fields.reference("source"),
        destination=fields.reference("destination"),
        digest=fields.digest("digest"),
        media_type=fields.text("media_type"),
        mirror=fields.optional_text("mirror"),
        manifests=fields.digests("manifests"),
        referrers=tuple(
            BundleReferrer(one.digest("subject"), one.digest("digest"), one.optional_text("artifact_type"), one.optional_text("tag"))
            for one in fields.list_objects("referrers", "subject", "digest", "artifact_type", "tag")
        ),
    )


def _decode_blob(fields: Fields) -> BundleBlob:
    if "parts" not in fields:
        fields.refuse_others("digest", "size", "volume")
        return BundleBlob(fields.digest("digest"), fields.number("size"), fields.number("volume"))
    fields.refuse_others("digest", "size", "parts")
    parts = fields.list_objects("parts", "volume", "size", "digest")
    return BundleBlob(
        fields.digest("digest"), fields.number("size"), 0, tuple(BundlePart(one.number("volume"), one.number("size"), one.digest("digest")) for one in parts)
    )


def _decode_expected(fields: Fields) -> Expected:
    places = fields.repositories("places") if "places" in fields else ()
    return Expected(fields.digest("digest"), fields.number("size"), fields.paths("repositories"), fields.optional_digest("held_by"), places)
