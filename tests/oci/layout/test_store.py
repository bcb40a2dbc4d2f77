"""A layout answers as a registry does."""

from __future__ import annotations

import errno
import json
import os
import tarfile

import pytest

from imgsync.errors import (
    AccessDeniedError,
    ContentMismatchError,
    LayoutError,
    NotFoundError,
    QuotaExceededError,
    RejectedError,
    UnexpectedResponseError,
    UnreachableError,
    UnsupportedContentError,
)
from imgsync.oci.layout.staged_file import StagedFile
from imgsync.oci.spec.manifest import parse_manifest
from imgsync.oci.spec.reference import parse_reference
from tests.oci.layout.stores import blob, opened, push, repository, send
from tests.support.images import OCI, Image, artifact, digest_of, first_layer, image, index, to_json
from tests.support.layouts import REF_NAME, LayoutOnDisk, named


@pytest.fixture
def layout(tmp_path):
    """Return the folder of a layout that is to be made."""
    return LayoutOnDisk(tmp_path / "layout")


def name(text: str):
    """Return a reference in the layout `usb`."""
    return parse_reference(f"oci-layout:usb/{text}")


def test_pushed_image_is_pulled_by_tag_and_digest(layout):
    """From both sides, in another run."""
    with opened(layout.folder) as store:
        content = push(store, "a/b:1", index(1))
    layout.assert_holds("a/b:1", content)

    for origin in ("source", "destination"):
        with opened(layout.folder, origin) as store:
            resolved = store.resolve(name("a/b:1"))
            assert (resolved.digest, resolved.media_type) == (content.digest, content.media_type)
            assert store.pull_manifest(name("a/b:1")).raw == content.raw
            child = store.pull_manifest(name(f"a/b@{content.children[0].digest}"))
            assert child.raw == content.children[0].raw
            digest, data = next(iter(content.all_blobs.items()))
            assert store.read_blob(repository("a/b"), blob(digest, data), limit_bytes=1 << 20) == data
            assert b"".join(store.download(repository("a/b"), blob(digest, data), start=3)) == data[3:]


@pytest.mark.row("LAY-05")
def test_referrer_belongs_to_repositories(layout):
    """Two repositories have the image, one has the SBOM: it is not shown in the other until it is pushed there."""
    with opened(layout.folder) as store:
        content = push(store, "private/app:1", image(1))
        push(store, "public/app:1", content)
        bill = artifact(1, subject=content)
        push(store, f"private/app@{bill.digest}", bill)
    digest, data = first_layer(bill), bill.blobs[first_layer(bill)]

    for origin in ("source", "destination"):
        with opened(layout.folder, origin) as store:
            assert [one.digest for one in store.list_referrers(repository("private/app"), content.digest)] == [bill.digest]
            assert store.has_blob(repository("private/app"), blob(digest, data))
            for other in ("public/app", "usb"):
                assert store.list_referrers(repository(other), content.digest) == ()
                assert store.resolve(name(f"{other}@{bill.digest}")) is None
                assert not store.has_blob(repository(other), blob(digest, data))

    with opened(layout.folder) as store:
        push(store, f"public/app@{bill.digest}", bill)
        push(store, f"public/app@{bill.digest}", bill)
    with opened(layout.folder, "source") as store:
        for path in ("private/app", "public/app"):
            assert store.pull_manifest(name(f"{path}@{bill.digest}")).raw == bill.raw
            assert [one.digest for one in store.list_referrers(repository(path), content.digest)] == [bill.digest]
    assert len(layout.entries) == 3


def test_referrer_of_another_tool_belongs_to_all(layout):
    """It does not say where it belongs."""
    content = layout.make().add(image(1), annotations=named("a/b:1"))
    bill = layout.add(artifact(1, subject=content))

    with opened(layout.folder, "source") as store:
        assert [one.digest for one in store.list_referrers(repository("a/b"), content.digest)] == [bill.digest]
        assert store.pull_manifest(name(f"a/b@{bill.digest}")).raw == bill.raw


@pytest.mark.row("LAY-05")
def test_content_belongs_to_repositories(layout):
    """Naming the digest of another repository's layer is not to have it."""
    with opened(layout.folder) as store:
        content = push(store, "private/app:1", image(1))
    digest, data = next(iter(content.blobs.items()))

    for origin in ("source", "destination"):
        with opened(layout.folder, origin) as store:
            assert store.has_blob(repository("private/app"), blob(digest, data))
            assert not store.has_blob(repository("public/app"), blob(digest, data))
            assert not store.has_blob(repository("private/app"), blob(digest, data + b"x"))
            assert store.resolve(name(f"public/app@{content.digest}")) is None
            with pytest.raises(NotFoundError):
                store.pull_manifest(name(f"public/app@{content.digest}"))
            with pytest.raises(NotFoundError):
                list(store.download(repository("public/app"), blob(digest, data)))


def test_mount_costs_no_bytes_and_needs_the_blob_there(layout):
    """The refusal has the status of a registry that does not have it."""
    with opened(layout.folder) as store:
        content = push(store, "a:1", image(1))
    digest, data = next(iter(content.blobs.items()))

    with opened(layout.folder) as store:
        assert send(store, "b", digest, data, mount_from="c") == 404
    before = layout.blob(digest).stat()
    with opened(layout.folder) as store:
        assert send(store, "c", digest, data, mount_from="a") is None
        assert store.has_blob(repository("c"), blob(digest, data))
    assert layout.blob(digest).stat() == before


def test_manifest_without_its_blobs_is_refused(layout):
    """The error names what is missing, so that it is brought again."""
    content = image(1)
    with opened(layout.folder) as store, pytest.raises(RejectedError) as caught:
        store.push_manifest(name("a:1"), parse_manifest(content.raw))

    assert caught.value.code == "MANIFEST_BLOB_UNKNOWN"
    assert caught.value.digests == set(content.blobs)
    assert layout.entries == []


def test_referrers_are_listed_by_subject_and_by_fallback_tag(layout):
    """As our own layouts and those of regctl have them."""
    subject, bill, other = image(1), artifact(1, subject=image(1)), artifact(2, subject=image(1))
    with opened(layout.folder) as store:
        push(store, "a:1", subject)
        push(store, "a", bill)
    layout.add(other, listed=False)
    fallback = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    fallback["manifests"] = [{"mediaType": other.media_type, "digest": other.digest, "size": len(other.raw)}]
    layout.add(Image(to_json(fallback), OCI["index"]), annotations=named(f"a:{subject.digest.replace(':', '-')}"))

    with opened(layout.folder, "source") as store:
        found = store.list_referrers(repository("a"), subject.digest)
        assert {one.digest for one in found} == {bill.digest, other.digest}
        assert store.pull_manifest(name(f"a@{other.digest}")).raw == other.raw
        assert store.list_referrers(repository("a"), bill.digest) == ()


def test_tag_of_the_source_is_not_gone_because_its_content_is(layout):
    """Or the tag would be pruned at the destination."""
    layout.make()
    content = layout.add(image(1), annotations=named("a:1"))
    layout.blob(content.digest).unlink()

    with opened(layout.folder, "source") as store:
        assert store.resolve(name("a:1")).digest == content.digest
        with pytest.raises(UnexpectedResponseError, match="lists it, but does not have"):
            store.pull_manifest(name("a:1"))
    with opened(layout.folder) as store:
        assert store.resolve(name("a:1")) is None


@pytest.mark.row("LAY-06")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda layout, content: layout.blob(content.digest).write_bytes(content.raw[:-1] + b" "), ContentMismatchError, "expected sha256:"),
        (lambda layout, content: layout.blob(content.digest).write_bytes(b"x" * (5 << 20)), UnsupportedContentError, "larger than 4 MiB"),
        (lambda layout, content: layout.blob(content.digest).write_bytes(b""), ContentMismatchError, "expected sha256:"),
        (lambda layout, content: change_entry(layout, size=3), ContentMismatchError, "expected 3 bytes, got"),
        (lambda layout, content: change_entry(layout, mediaType="application/vnd.oci.image.index.v1+json"), UnsupportedContentError, "not an index"),
    ],
    ids=["bytes", "huge", "empty", "size", "type"],
)
def test_wrong_manifest_is_one_error(layout, change, error, message):
    """Nothing is believed that the index or a file name says."""
    layout.make()
    change(layout, layout.add(image(1), annotations=named("a:1")))

    with opened(layout.folder, "source") as store, pytest.raises(error, match=message):
        store.pull_manifest(name("a:1"))


def change_entry(layout, **fields: object) -> None:
    """Change the only entry of the index."""
    document = json.loads((layout.folder / "index.json").read_bytes())
    document["manifests"][0] |= fields
    (layout.folder / "index.json").write_bytes(to_json(document))


def test_ambiguous_name_is_an_error_of_the_image(layout):
    """It is listed without a digest; a push to it replaces both."""
    layout.make()
    layout.add(image(1), annotations=named("a:1"))
    layout.add(image(2), annotations=named("a:1"))

    with opened(layout.folder, "source") as store:
        with pytest.raises(LayoutError, match="has two images named oci-layout:usb/a:1"):
            store.resolve(name("a:1"))
        assert list(store.iter_tags("a")) == [("1", None, None)]
    with opened(layout.folder) as store:
        push(store, "a:1", image(3))
    assert layout.names == {"a:1": image(3).digest}


def test_skipped_entries_are_told_once(layout):
    """The others are read."""
    layout.make()
    layout.add(image(1), annotations={REF_NAME: "localhost:5000/x:1"})
    layout.add(image(2), annotations=named("a:1"))
    warnings: list[str] = []

    with opened(layout.folder, "source", warnings=warnings) as store:
        assert list(store.iter_repositories()) == ["a"]
        assert store.list_tag_names(repository("a")) == {"1"}

    problem = "'localhost:5000/x:1' is not a repository path and tag; `repository` of the layout in registries.yaml gives it a path"
    assert warnings == [f"{layout.folder}: skipped an image: {problem}"]


def test_layout_that_is_not_there_is_an_error_only_as_a_source(layout):
    """As a destination it is empty. A source that is not mounted has not lost its tags."""
    with opened(layout.folder) as store:
        assert store.resolve(name("a:1")) is None
        with pytest.raises(NotFoundError):
            store.list_tag_names(repository("a"))
    with opened(layout.folder, "source") as store:
        with pytest.raises(UnreachableError, match="No such file or directory") as caught:
            store.resolve(name("a:1"))
        assert caught.value.retries_exhausted
        assert "plugged in and mounted" in caught.value.hint
    layout.folder.mkdir()
    with opened(layout.folder, "source") as store, pytest.raises(LayoutError, match="the folder is empty"):
        store.resolve(name("a:1"))


def test_folder_above_a_layout_is_never_made(layout, tmp_path):
    """Where a medium is not mounted, nothing is written to the disk below."""
    with opened(tmp_path / "media/usb") as store:
        for call in (lambda: store.resolve(name("a:1")), lambda: store.check_push(repository("a")), lambda: push(store, "a:1", image(1))):
            with pytest.raises(UnreachableError):
                call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "error", "hint"),
    [
        (errno.ENOSPC, QuotaExceededError, "free space at"),
        (errno.EDQUOT, QuotaExceededError, "free space at"),
        (errno.EROFS, AccessDeniedError, "not mounted read only"),
        (errno.EACCES, AccessDeniedError, "check the owner"),
        (errno.EIO, UnreachableError, "check the medium and its cable"),
        (errno.ENODEV, UnreachableError, "plugged in and mounted"),
        (errno.EFBIG, RejectedError, "as FAT from 4 GiB on"),
        (errno.ENOLCK, RejectedError, "lacks locks"),
    ],
)
def test_error_of_the_file_system_is_one_of_the_store(layout, monkeypatch, number, error, hint):
    """Its kind decides about retries and exit codes, and the hint says what to do; no temporary file stays."""
    with opened(layout.folder) as store:
        push(store, "a:1", image(1))

        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(StagedFile, "write", fail)
        with pytest.raises(error) as caught:
            send(store, "a", digest_of(b"x"), b"x")
        assert type(caught.value) is error
        assert os.strerror(number) in caught.value.message
        assert hint in caught.value.hint
        with pytest.raises(error):
            store.delete_tag(name("a:1"))
    assert [file.name for file in (layout.folder / ".imgsync").iterdir() if file.name.startswith("new-")] == []
    layout.assert_holds("a:1", image(1))


@pytest.mark.row("LAY-02")
@pytest.mark.parametrize("place", [".imgsync", ".imgsync/writers", ".imgsync/index", "blobs", "blobs/sha256", "index.json", "oci-layout"])
def test_nothing_is_written_through_a_link(layout, tmp_path, place):
    """Of a destination that others can write to."""
    with opened(layout.folder) as store:
        push(store, "a:1", image(1))
    target, outside = layout.folder / place, tmp_path / "outside"
    target.rename(outside)
    target.symlink_to(outside)
    before = sorted((file, file.stat().st_mtime_ns, file.read_bytes() if file.is_file() else b"") for file in (outside, *outside.rglob("*")))

    with opened(layout.folder) as store, pytest.raises(LayoutError, match="is a link, not a"):
        push(store, "b:1", image(2))

    assert sorted((file, file.stat().st_mtime_ns, file.read_bytes() if file.is_file() else b"") for file in (outside, *outside.rglob("*"))) == before


def test_archive_is_only_read(tmp_path):
    """The error says what to do instead."""
    layout = LayoutOnDisk(tmp_path / "layout").make()
    content = layout.add(image(1), annotations=named("a:1"))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(layout.folder, ".")

    with opened(tmp_path / "a.tar", "source") as store:
        assert store.pull_manifest(name("a:1")).raw == content.raw
    with opened(tmp_path / "a.tar") as store, pytest.raises(LayoutError, match="is an archive, which imgsync only reads"):
        push(store, "b:1", image(2))


def test_deleted_tag_takes_unused_blobs_along(layout):
    """Also those that a killed run left; another writer holds them."""
    kept, gone = image(1), image(2)
    with opened(layout.folder) as store:
        push(store, "a:1", kept)
        push(store, "a:2", gone)
        push(store, "a", artifact(1, subject=gone))
    with opened(layout.folder) as other:
        push(other, "b:1", kept)
        with opened(layout.folder) as store:
            store.delete_tag(name("a:2"))
        assert gone.digest in layout.blobs

    with opened(layout.folder) as store:
        push(store, "c:1", kept)

    assert layout.blobs == {kept.digest, *kept.blobs}
    assert [entry["digest"] for entry in layout.entries] == [kept.digest] * 3


def test_blobs_of_failed_images_stay_for_the_next_run(layout):
    """After that run, what nothing references goes."""
    content = image(1)
    digest, data = next(iter(content.blobs.items()))
    with opened(layout.folder) as store:
        push(store, "a:1", image(2))
        send(store, "a", digest, data)
    assert digest in layout.blobs
    with opened(layout.folder) as store:
        push(store, "a:2", content)
    assert set(content.blobs) <= layout.blobs

    with opened(layout.folder) as store:
        send(store, "a", first_layer(image(3)), image(3).blobs[first_layer(image(3))])
    with opened(layout.folder) as store:
        push(store, "a:3", image(2))

    assert first_layer(image(3)) not in layout.blobs
    layout.assert_holds("a:2", content)
    assert [file.name for file in (layout.folder / ".imgsync").iterdir() if file.name.startswith("stored-")] == []


def test_nothing_is_deleted_while_a_manifest_in_use_cannot_be_read(layout):
    """Its blobs are not known. A later run of the same process, as of `serve`, deletes what is left."""
    warnings: list[str] = []
    with opened(layout.folder) as store:
        push(store, "a:1", image(1))
        push(store, "a:2", image(2))
    layout.blob(image(1).digest).write_bytes(b"{}")
    with opened(layout.folder, warnings=warnings) as store:
        store.delete_tag(name("a:2"))

    assert image(2).digest in {f"sha256:{file.name}" for file in (layout.folder / "blobs/sha256").iterdir()}
    assert "the layout was not tidied up" in warnings[0]

    layout.blob(image(1).digest).write_bytes(image(1).raw)
    with opened(layout.folder) as store:
        push(store, "a:1", image(1))

    assert layout.blobs == {image(1).digest, *image(1).blobs}
