"""The law of inventories: what the other side holds, written by who knows whom."""

from __future__ import annotations

import io

from imgsync.bundle.holdings import Holdings
from imgsync.bundle.inventory import HeldRepository, InventoryHead, decode_inventory, encode_inventory
from imgsync.errors import UsageError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag

_ID = "sha256:" + "0" * 64


def inventories(data: bytes) -> None:
    """An inventory is read in whole or refused; what is read is valid, and written again it is read as the same."""
    found: list[HeldRepository] = []
    try:
        head = decode_inventory(io.BytesIO(data), name="inside.json", add=found.append)
    except UsageError as error:
        assert error.message.startswith("inside.json cannot be used: ")
        assert error.hint
        return
    holdings = Holdings()
    for one in found:
        _check(one)
        holdings.add_content(one.repository, one.blobs, held_by=_ID)
        assert all(holdings.has(one.repository, digest) for digest in one.blobs)
    again: list[HeldRepository] = []
    written = b"".join(encode_inventory(head.places, found, [], created_at=head.created_at))
    complete = all(one.is_complete for one in found)
    assert decode_inventory(io.BytesIO(written), name="again", add=again.append) == InventoryHead(head.places, complete, head.created_at)
    assert again == [_sorted(one) for one in found]


def _check(one: HeldRepository) -> None:
    assert is_repository_path(one.repository.path)
    assert all(is_tag(tag) and is_digest(digest) for tag, digest in one.tags.items())
    for sizes in (one.manifests, one.blobs):
        assert all(is_digest(digest) and (size is None or 0 <= size < 1 << 63) for digest, size in sizes.items())
    assert all(is_digest(digest) for subject, digests in one.referrers.items() for digest in (subject, *digests))


def _sorted(one: HeldRepository) -> HeldRepository:
    referrers = {subject: sorted(digests) for subject, digests in one.referrers.items()}
    return HeldRepository(one.repository, one.tags, one.manifests, one.blobs, referrers, one.is_complete)
