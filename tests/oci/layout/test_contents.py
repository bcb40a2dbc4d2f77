"""What a layout holds, with many tags in one repository."""

from __future__ import annotations

import threading
import time

import pytest

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


@pytest.mark.parametrize("fails", [False, True])
def test_blob_is_found_while_another_caller_reads_the_manifests(fails):
    """Reading them pauses; who asks meanwhile waits, and is not told that the blob is not there."""
    content = image("one")
    manifest = parse_manifest(content.raw, content_type=content.media_type)
    began, go_on = threading.Event(), threading.Event()

    def read(digest: str, _: str) -> object:
        if not began.is_set():
            began.set()
            assert go_on.wait(10)
            if fails:
                raise OSError("the disk failed once")
        return manifest if digest == manifest.digest else None

    entry = make_entry(manifest.content_type, manifest.digest, manifest.size_bytes, name="app:1")
    contents = LayoutContents(LayoutIndex((entry,)), read, own_repository="own", is_own_declared=False)
    found: list[object] = []

    def ask() -> None:
        try:
            found.append(contents.has("app", next(iter(content.blobs))))
        except OSError as error:
            found.append(str(error))

    callers = [threading.Thread(target=ask) for _ in range(2)]
    callers[0].start()
    assert began.wait(10)
    callers[1].start()
    assert found == []
    go_on.set()
    for caller in callers:
        caller.join(10)

    assert found == [("the disk failed once" if fails else True), True]


def test_content_of_a_removed_tag_is_not_pulled_by_digest():
    """A digest that two tags have stays; the last one takes it along."""
    entries = [make_entry(OCI["manifest"], digest_of(b"one"), 100, name=f"app:{tag}") for tag in "ab"]
    contents = LayoutContents(LayoutIndex(tuple(entries)), lambda *_: None, own_repository="own", is_own_declared=False)
    contents.remove_tag(EntryName("app", "a"))
    assert contents.has("app", digest_of(b"one"))
    contents.remove_tag(EntryName("app", "b"))
    assert not contents.has("app", digest_of(b"one"))
