"""The laws of image stores hold for each kind: a registry, and a layout."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator

import pytest

from imgsync.config.model import LayoutSettings, RegistriesConfig, RegistrySettings, Tls
from imgsync.errors import ContentMismatchError, NotFoundError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.reference import Repository
from imgsync.registries.clients import Registries
from imgsync.text.redaction import Redaction
from tests.support.images import DOCKER, OCI, Image, artifact, image, index

_numbers = itertools.count(1)
Open = Callable[[str], ImageStore]


@pytest.fixture(params=["registry", "layout"])
def open_store(request, tmp_path) -> Iterator[Open]:
    """Return what opens the same store again, as source or destination."""
    if request.param == "registry":
        name = request.getfixturevalue("registry").host
        settings = RegistriesConfig({name: RegistrySettings(tls=Tls(enabled=False))})
    else:
        name = "oci-layout:usb"
        (tmp_path / "usb").mkdir()
        settings = RegistriesConfig(layouts={"usb": LayoutSettings(str(tmp_path / "usb"))})
    with contextlib.ExitStack() as ends:

        def make(origin: str) -> ImageStore:
            registries = Registries(
                settings, environ={}, pushes=True, on_retry=lambda _: None, redaction=Redaction(), on_warning=pytest.fail, on_registry_warning=pytest.fail
            )
            ends.enter_context(registries)
            return registries.make_client(name, origin, RetryPolicy(attempts=1))

        yield make


@pytest.fixture
def repository(open_store) -> Repository:
    """Return a repository that no other test uses."""
    return Repository(open_store("source").registry, f"laws/app{next(_numbers)}")


def describe(content: bytes) -> Descriptor:
    return Descriptor("application/octet-stream", compute_digest(content), len(content))


def upload(store: ImageStore, repository: Repository, content: bytes) -> Descriptor:
    blob = describe(content)
    session = store.begin_upload(repository, blob, mount_from="")
    assert session is not None
    session.put([content])
    return blob


def push(store: ImageStore, repository: Repository, content: Image, tag: str = "") -> Manifest:
    """Push *content* as the engine does: blobs, children, and the root last."""
    for blob in content.blobs.values():
        upload(store, repository, blob)
    for child in content.children:
        push(store, repository, child)
    manifest = parse_manifest(content.raw, content_type=content.media_type)
    store.push_manifest(repository.with_tag(tag) if tag else repository.with_digest(manifest.digest), manifest)
    return manifest


@pytest.mark.parametrize("kind", [OCI, DOCKER], ids=["oci", "docker"])
def test_manifests_are_kept_byte_for_byte(open_store, repository, kind):
    """An index and its children keep type and digest, for a store that is opened again too."""
    content = index(children=(image(1, kind=kind), image(2, kind=kind)), kind=kind)
    push(open_store("destination"), repository, content, "1")

    store = open_store("source")
    served = store.resolve(repository.with_tag("1"))

    assert (served.digest, served.media_type) == (content.digest, content.media_type)
    assert store.pull_manifest(repository.with_tag("1")).raw == content.raw
    for child in content.children:
        assert store.pull_manifest(repository.with_digest(child.digest)).raw == child.raw
        for digest, blob in child.blobs.items():
            assert b"".join(store.download(repository, Descriptor("", digest, len(blob)))) == blob


def test_missing_content_is_not_found(open_store, repository):
    """A missing tag resolves to nothing; a missing manifest, blob or repository is an error of its kind."""
    push(open_store("destination"), repository, image(1), "1")
    store, blob = open_store("source"), describe(b"missing")

    assert store.resolve(repository.with_tag("2")) is None
    assert store.resolve(repository.with_digest(blob.digest)) is None
    assert not store.has_blob(repository, blob)
    with pytest.raises(NotFoundError):
        store.pull_manifest(repository.with_tag("2"))
    with pytest.raises(NotFoundError):
        b"".join(store.download(repository, blob))
    with pytest.raises(NotFoundError):
        store.read_blob(repository, blob, limit_bytes=100)
    with pytest.raises(NotFoundError):
        store.list_tag_names(Repository(repository.registry, "laws/missing"))


def test_tags_of_a_repository_are_its_own(open_store, repository):
    """A tag moves, is listed and is deleted in its repository only."""
    store, other = open_store("destination"), Repository(repository.registry, f"{repository.path}-other")
    first, second = image(1), image(2)
    push(store, repository, first, "1")
    push(store, repository, first, "2")
    push(store, other, first, "1")
    push(store, repository, second, "1")

    assert store.resolve(repository.with_tag("1")).digest == second.digest
    assert store.resolve(other.with_tag("1")).digest == first.digest
    assert store.list_tag_names(repository) == {"1", "2"}
    assert store.list_tag_names(other) == {"1"}


def test_deleted_manifest_takes_its_tags_along(open_store, repository):
    """Both tags of the digest go; another image of the repository stays whole."""
    store, stays, goes = open_store("destination"), image(1), image(2)
    push(store, repository, stays, "stays")
    push(store, repository, goes, "goes")
    push(store, repository, goes, "goes-too")

    store.delete_manifest(repository.with_digest(goes.digest))

    again = open_store("source")
    assert again.resolve(repository.with_tag("goes")) is None
    assert again.resolve(repository.with_tag("goes-too")) is None
    assert again.pull_manifest(repository.with_tag("stays")).raw == stays.raw
    for digest, blob in stays.blobs.items():
        assert b"".join(again.download(repository, Descriptor("", digest, len(blob)))) == blob
    with pytest.raises(NotFoundError):
        store.delete_manifest(repository.with_digest(goes.digest))


def test_upload_that_breaks_leaves_nothing(open_store, repository):
    """Of chunks that end in an error, such as that of a wrong digest, nothing is there afterwards."""
    store, blob = open_store("destination"), describe(b"x" * 1000)

    def break_off() -> Iterator[bytes]:
        yield b"x" * 500
        raise ContentMismatchError("blob", expected="a", actual="b")

    with pytest.raises(ContentMismatchError):
        store.begin_upload(repository, blob, mount_from="").put(break_off())

    assert not store.has_blob(repository, blob)
    upload(store, repository, b"x" * 1000)
    assert store.has_blob(repository, blob)


def test_blob_of_another_repository_is_mounted(open_store, repository):
    """A blob is only there for repositories that got it; a mount needs no bytes."""
    store, other, content = open_store("destination"), Repository(repository.registry, f"{repository.path}-other"), image(1)
    push(store, repository, content, "1")
    blob = describe(next(iter(content.blobs.values())))
    assert not store.has_blob(other, blob)

    assert store.begin_upload(other, blob, mount_from=repository.path) is None

    assert store.has_blob(other, blob)


def test_range_of_a_blob_is_read(open_store, repository):
    """A download may begin and end anywhere."""
    content = bytes(range(256)) * 64
    push(open_store("destination"), repository, image(contents=[content]), "1")
    blob, store = describe(content), open_store("source")

    assert b"".join(store.download(repository, blob, start=1000)) == content[1000:]
    assert b"".join(store.download(repository, blob, start=1000, end=1001)) == content[1000:1001]
    assert store.read_blob(repository, blob, limit_bytes=len(content)) == content


def test_referrers_are_listed_or_it_says_that_it_cannot(open_store, repository):
    """A store that takes a referrer as one lists it with its type; others say so at the push."""
    store, subject = open_store("destination"), image(1)
    push(store, repository, subject, "1")
    signature = artifact(subject=subject)
    for blob in signature.blobs.values():
        upload(store, repository, blob)
    manifest = parse_manifest(signature.raw, content_type=signature.media_type)

    is_listed = store.push_manifest(repository.with_digest(manifest.digest), manifest)

    listed = open_store("source").list_referrers(repository, subject.digest)
    assert (listed is not None) == is_listed
    if listed is not None:
        assert [one.digest for one in listed] == [manifest.digest]
    assert open_store("source").pull_manifest(repository.with_digest(manifest.digest)).raw == signature.raw
