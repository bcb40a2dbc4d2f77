"""What a layout holds, with many tags in one repository."""

from __future__ import annotations

import time

from imgsync.oci.layout.contents import LayoutContents
from imgsync.oci.layout.index_json import LayoutIndex, make_entry
from imgsync.oci.layout.names import EntryName
from imgsync.oci.layout.sweep import find_unused
from imgsync.oci.spec.manifest import parse_manifest
from tests.support.images import OCI, digest_of, image


def use(count: int) -> float:
    """Return the processor time of a run that reads and replaces *count* tags, in seconds."""
    entries = [make_entry(OCI["manifest"], digest_of(str(number).encode()), 100, name=f"app:{number}") for number in range(count)]
    contents = LayoutContents(LayoutIndex(tuple(entries)), lambda *_: None, own_repository="own", is_own_declared=False)
    began = time.process_time()
    for number, entry in enumerate(entries):
        assert contents.list_referrers("app", entry.digest) == ()
        assert contents.has("app", entry.digest)
        contents.put_tag(EntryName("app", str(number)), make_entry(OCI["manifest"], entry.digest, 200, name=f"app:{number}"))
        assert not contents.has("app", digest_of(b"other"))
    return time.process_time() - began


def test_time_grows_with_the_number_of_tags_only():
    """Looking through all tags for each one would take 16 times as long for 4 times as many."""
    few, many = (min(use(count) for _ in range(3)) for count in (500, 2000))

    assert many < 8 * few


def test_manifest_that_another_one_lists_as_a_layer_keeps_its_blobs():
    """An artifact may carry a manifest as a layer; what that references is still found."""
    inner = image("inner")
    child = parse_manifest(inner.raw, content_type=inner.media_type)
    carrier = image("carrier", contents=[inner.raw])
    outer = parse_manifest(carrier.raw, content_type=carrier.media_type)
    manifests = {child.digest: child, outer.digest: outer}
    named = [make_entry(one.content_type, one.digest, one.size_bytes, name=f"app:{number}") for number, one in enumerate((child, outer))]
    contents = LayoutContents(LayoutIndex(tuple(named)), lambda digest, _: manifests.get(digest), own_repository="own", is_own_declared=False)

    assert all(contents.has("app", digest) for digest in inner.blobs)
    assert find_unused(contents, [*inner.blobs], lambda digest, _: manifests.get(digest)) == (set(), [])


def test_content_of_a_removed_tag_is_not_pulled_by_digest():
    """A digest that two tags have stays; the last one takes it along."""
    entries = [make_entry(OCI["manifest"], digest_of(b"one"), 100, name=f"app:{tag}") for tag in "ab"]
    contents = LayoutContents(LayoutIndex(tuple(entries)), lambda *_: None, own_repository="own", is_own_declared=False)
    contents.remove_tag(EntryName("app", "a"))
    assert contents.has("app", digest_of(b"one"))
    contents.remove_tag(EntryName("app", "b"))
    assert not contents.has("app", digest_of(b"one"))
