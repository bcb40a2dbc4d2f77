"""Read `imgsync-volume.json` and `index.json` of a volume, which are not trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from imgsync.bundle.canonical_json import parse_canonical
from imgsync.bundle.json_fields import Fields
from imgsync.bundle.model import VOLUME_FORMAT
from imgsync.bundle.volume_layout import NAME_ANNOTATIONS, make_canonical_volume_document
from imgsync.errors import BundleError
from imgsync.oci.spec.digest import is_digest
from imgsync.system.dataclass import dataclass

BLOB_MEMBER = re.compile(r"blobs/(sha256/[a-f0-9]{64}|sha512/[a-f0-9]{128})(\.part-[0-9]{3,4})?")


@dataclass(frozen=True, slots=True)
class VolumeDocument:
    """
    What a volume says about itself.

    It is volume `number` of `count`, from 1. `parts` are the digests of parts of blobs, by the names of their members.
    """

    bundle_id: str
    number: int
    count: int
    index_digest: str
    parts: Mapping[str, str]


def decode_volume_document(raw: bytes, *, name: str) -> VolumeDocument:
    """
    Return what `imgsync-volume.json` says.

    Raises:
        BundleError: It is damaged; errors call it *name*.
    """
    found = parse_canonical(raw, name=name)
    if found.get("format") != VOLUME_FORMAT:
        raise BundleError(f"{name} is not {VOLUME_FORMAT}", hint="use the version of imgsync that made it")
    try:
        fields = Fields(found)
        fields.refuse_others("bundle", "format", "id", "index", "number", "of", "parts")
        document = VolumeDocument(
            fields.digest("bundle"), fields.number("number"), fields.number("of"), fields.digest("index"), _read_parts(found.get("parts"))
        )
    except ValueError as error:
        raise BundleError(f"{name} is damaged: {error}") from error
    if make_canonical_volume_document(document.bundle_id, document.number, document.count, document.index_digest, document.parts) != raw:
        raise BundleError(f"{name} is damaged: its content does not match its id")
    return document


def decode_index(raw: bytes, *, name: str) -> tuple[dict[str, int], tuple[str, ...]]:
    """
    Return manifests with their sizes, and names of images.

    Raises:
        BundleError: It is damaged; errors call it *name*.
    """
    found = parse_canonical(raw, name=name)
    sizes: dict[str, int] = {}
    names: dict[str, None] = {}
    try:
        for fields in Fields(found).list_objects("manifests"):
            sizes[fields.digest("digest")] = fields.number("size")
            if "annotations" in fields:
                names[fields.nested("annotations").text(NAME_ANNOTATIONS[0])] = None
    except ValueError as error:
        raise BundleError(f"{name} is damaged: {error}") from error
    return sizes, tuple(names)


def _read_parts(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError("`parts` is not an object")  # noqa: TRY004 - of the text, not of an argument
    for name, digest in found.items():
        if BLOB_MEMBER.fullmatch(name) is None or not isinstance(digest, str) or not is_digest(digest):
            raise ValueError(f"`parts` has {json.dumps(name)[:100]}, which is not the name of a part with its digest")
    return found
