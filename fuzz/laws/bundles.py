"""Check bundles: their document, and volumes without it."""

from __future__ import annotations

import contextlib
import json

from fuzz.laws.archives import correct_checksums
from fuzz.laws.shared import make_folder
from imgsync.bundle.canonical_json import dump_canonical
from imgsync.bundle.check_bundle import find_contradiction
from imgsync.bundle.document import decode_bundle, encode_bundle
from imgsync.bundle.verify import verify_bundle
from imgsync.bundle.verify_alone import verify_volume
from imgsync.bundle.volume_layout import lay_out_volumes
from imgsync.errors import BundleError
from imgsync.oci.spec.digest import compute_digest

# Each volume is looked for in the folder.
_VOLUMES = 20


def bundles(data: bytes) -> None:
    """
    Check a document, or a volume alone.

    The first byte says which: `d` is a document whose id is made right, since no random change would get past it, `D` one as it is, `v` a volume whose
    headers get their checksums, and any other byte a volume as it is.
    """
    if data[:1] in {b"d", b"D"}:
        _check_document(_correct_id(data[1:]) if data[:1] == b"d" else data[1:])
    else:
        _check_volume(bytes(correct_checksums(bytearray(data[1:]))) if data[:1] == b"v" else data[1:])


def _check_document(raw: bytes) -> None:
    """A document is refused, or it has one form and every blob lies within its volume."""
    try:
        bundle = decode_bundle(raw, name="doc")
    except BundleError as error:
        assert error.message.isprintable()
        return
    assert encode_bundle(bundle) == raw
    assert find_contradiction(bundle) == ""
    for volume, layout in zip(bundle.volumes, lay_out_volumes(bundle), strict=True):
        assert "/" not in volume.file
        ends = [member.end for member in layout.members]
        assert ends == sorted(ends)
        assert ends[-1] < volume.size_bytes
    if len(bundle.volumes) <= _VOLUMES:
        assert verify_bundle([make_folder()], bundle).is_intact == (not bundle.volumes and not bundle.images)


def _check_volume(content: bytes) -> None:
    """A volume is refused, or all of its bytes are accounted for."""
    path = make_folder() / "imgsync-bundle.001.tar"
    path.write_bytes(content)
    before = set(make_folder().iterdir())
    with contextlib.suppress(BundleError):
        found = verify_volume(path)
        assert all(problem.message.isprintable() and 0 <= problem.offset <= len(content) for problem in found.problems)
    assert set(make_folder().iterdir()) == before
    path.unlink()


def _correct_id(raw: bytes) -> bytes:
    try:
        document = json.loads(raw)
        if isinstance(document, dict):
            document.pop("id", None)
            return dump_canonical({**document, "id": compute_digest(dump_canonical(document))}) + b"\n"
    except (ValueError, RecursionError):
        pass
    return raw
