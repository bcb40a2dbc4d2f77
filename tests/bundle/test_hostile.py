"""A bundle that is made to do harm: one clear error, in bounds, and nothing outside its folder is read."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imgsync.bundle import volume_reader
from imgsync.bundle.canonical_json import dump_canonical
from imgsync.bundle.check_bundle import find_contradiction
from imgsync.bundle.document import LIMIT_BYTES, decode_bundle, encode_bundle
from imgsync.bundle.model import DOCUMENT_NAME, Bundle, BundleVolume
from imgsync.bundle.open_bundle import OpenBundle, read_document
from imgsync.bundle.tar_format import END, make_header, make_padding
from imgsync.bundle.verify import verify_bundle
from imgsync.bundle.verify_alone import verify_volume
from imgsync.bundle.volume_layout import LAYOUT_CONTENT, make_index, make_volume_document, name_member
from imgsync.errors import BundleError
from imgsync.oci.spec.digest import compute_digest
from tests.support.bundles import make_cargo, write_bundle
from tests.support.effort import effort

SECRET = b"a file outside the folder"


@pytest.fixture
def folder(tmp_path) -> Path:
    """The folder of an intact bundle, beside a file that nothing may read."""
    (tmp_path / "secret").write_bytes(SECRET)
    write_bundle(tmp_path / "media", make_cargo(3, layer_bytes=200_000), volume_bytes=1 << 20)
    return tmp_path / "media"


def change(folder: Path, edit: Callable[[dict], None]) -> bytes:
    """Return the document after *edit*, with the id of its new content."""
    document = json.loads((folder / DOCUMENT_NAME).read_bytes())
    del document["id"]
    edit(document)
    return dump_canonical({**document, "id": compute_digest(dump_canonical(document))}) + b"\n"


def set_at(*path: object) -> Callable[[dict], None]:
    """Return an edit: the last of *path* is set where the others lead."""

    def edit(document: dict) -> None:
        for step in path[:-2]:
            document = document[step]
        document[path[-2]] = path[-1]

    return edit


CONTRADICTIONS = {
    "absolute name": set_at("volumes", 0, "file", "/etc/passwd"),
    "parent name": set_at("volumes", 0, "file", "../secret"),
    "folder in a name": set_at("volumes", 0, "file", "x/imgsync-bundle.001.tar"),
    "wrong number": set_at("volumes", 0, "file", "imgsync-bundle.002.tar"),
    "same file twice": lambda document: document["volumes"].append(document["volumes"][0]),
    "wrong size": set_at("volumes", 0, "size", 5),
    "negative size": set_at("volumes", 0, "size", -1),
    "huge size": set_at("blobs", 0, "size", 1 << 62),
    "size beyond 63 bits": set_at("blobs", 0, "size", 1 << 63),
    "true as a size": set_at("blobs", 0, "size", True),
    "fraction as a size": set_at("blobs", 0, "size", 1.5),
    "volume that does not exist": set_at("blobs", 0, "volume", 99),
    "volume zero": set_at("blobs", 0, "volume", 0),
    "parts that do not add up": lambda document: document["blobs"].append(
        {"digest": "sha256:" + "c" * 64, "size": 5, "parts": [{"volume": 1, "size": 4, "digest": "sha256:" + "c" * 64}]}
    ),
    "no parts": lambda document: document["blobs"].append({"digest": "sha256:" + "c" * 64, "size": 0, "parts": []}),
    "blob twice": lambda document: document["blobs"].append(document["blobs"][0]),
    "blob held and expected": lambda document: document["expects"].append(
        {"digest": document["blobs"][0]["digest"], "size": 1, "repositories": ["a"], "held_by": None}
    ),
    "bad digest": set_at("blobs", 0, "digest", "sha256:../../etc/passwd"),
    "bad repository": lambda document: document["expects"].append({"digest": "sha256:" + "c" * 64, "size": 1, "repositories": ["../x"], "held_by": None}),
    "bad source": set_at("images", 0, "source", "registry/../x:1"),
    "destination without a tag": set_at("images", 0, "destination", "registry.inside/app"),
    "name with a control character": set_at("images", 0, "mirror", "a\x1b[31mb"),
    "destination twice": lambda document: document["images"].insert(0, document["images"][0]),
    "not sorted": lambda document: document["images"].reverse(),
    "manifest that is nowhere": set_at("images", 0, "manifests", ["sha256:" + "d" * 64]),
    "no manifest": set_at("images", 0, "manifests", []),
    "unknown field": set_at("images", 0, "extra", 1),
    "missing field": lambda document: document["images"][0].pop("source"),
    "list as a document": lambda document: document.update(images={}),
    "other version": set_at("format", "imgsync.bundle/v2"),
    "other document": set_at("format", "imgsync.plan/v1"),
}


@pytest.mark.row("BUN-02")
@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_document_that_contradicts_itself_is_refused(folder, name):
    """Though its id is right: who makes it can compute one."""
    raw = change(folder, CONTRADICTIONS[name])

    with pytest.raises(BundleError) as caught:
        decode_bundle(raw, name="doc")

    assert caught.value.message.startswith("doc ")
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


@pytest.mark.row("BUN-03")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{" * 100_000,
        b"[" * 3_000_000,
        b'{"format": "imgsync.bundle/v1", "format": "imgsync.bundle/v1"}',
        b'{"format": NaN}',
        b'{"size": 1' + b"0" * 10_000 + b"}",
        b" " * (LIMIT_BYTES + 1),
    ],
    ids=["empty", "list", "null", "not UTF-8", "deep", "many", "key twice", "NaN", "long number", "huge"],
)
def test_bomb_in_place_of_a_document_is_refused_in_bounds(raw):
    """Of time and memory."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        with pytest.raises(BundleError):
            decode_bundle(raw, name="doc")
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < 10


@pytest.mark.row("BUN-02")
def test_document_in_another_form_is_refused(folder):
    """The same content with a space: its signature would be another one."""
    raw = (folder / DOCUMENT_NAME).read_bytes()
    for changed in (raw.replace(b",", b", ", 1), raw.rstrip(b"\n"), raw + b"\n", raw.replace(b'"imgsync.bundle', b'"\\u0069mgsync.bundle')):
        with pytest.raises(BundleError):
            decode_bundle(changed, name="doc")


def test_written_document_is_read_again(folder):
    """The same value, and the same bytes."""
    raw = (folder / DOCUMENT_NAME).read_bytes()
    bundle = decode_bundle(raw, name="doc")

    assert encode_bundle(bundle) == raw
    assert find_contradiction(bundle) == ""


def replace_by_link(path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.symlink_to(path.parent.parent / "secret")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_device(path: Path) -> None:
    path.unlink()
    try:
        os.mknod(path, 0o20666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices need root")


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def extend(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 512)


FILES = [replace_by_link, replace_by_pipe, replace_by_folder, replace_by_device]


@pytest.mark.row("BUN-04")
@pytest.mark.parametrize("make", FILES)
def test_document_that_is_no_regular_file_is_refused(folder, make):
    """At once: a pipe would block, and a link leads outside."""
    make(folder / DOCUMENT_NAME)

    with pytest.raises(BundleError, match="cannot be read: "):
        read_document([folder])


@pytest.mark.row("BUN-04")
@pytest.mark.parametrize("make", [*FILES, cut_off, extend])
def test_volume_that_is_no_regular_file_of_its_size_is_refused(folder, make):
    """It costs the images in it, and the others are verified."""
    bundle = read_document([folder])
    volume = bundle.volumes[-1]
    held = next(blob for blob in bundle.blobs_of_volume(len(bundle.volumes)))
    make(folder / volume.file)

    found = verify_bundle([folder], bundle)

    assert [check.is_intact for check in found.volumes] == [True] * (len(bundle.volumes) - 1) + [False]
    assert found.volumes[-1].unusable.startswith(("it cannot be read: ", "it has "))
    assert found.lost
    with OpenBundle([folder], bundle) as opened, pytest.raises((BundleError, OSError)):
        b"".join(opened.read(held.digest))


def test_volumes_may_lie_in_several_folders(folder):
    """Each is found where it is."""
    bundle = read_document([folder])
    other = folder.parent / "other"
    other.mkdir()
    (folder / bundle.volumes[0].file).rename(other / bundle.volumes[0].file)

    assert not verify_bundle([folder], bundle).is_intact
    assert verify_bundle([folder, other], bundle).is_intact


@pytest.mark.row("BUN-02")
def test_manifest_that_needs_what_the_bundle_lacks_costs_its_image(folder):
    """A document can leave out a blob, and have a right id."""
    bundle = read_document([folder])
    config = next(blob for blob in bundle.blobs if blob.digest not in {one.digest for one in bundle.images} and len(blob.volumes) == 1)
    without = replace(bundle, blobs=tuple(blob for blob in bundle.blobs if blob != config))

    with pytest.raises(BundleError, match="contradicts itself"):
        decode_bundle(encode_bundle(without), name="doc")


BLOB = b"content of a blob"
NAME = name_member(compute_digest(BLOB))


def member(name: str, content: bytes, *, header: bytes | None = None) -> bytes:
    """Return a member as imgsync writes it, or with another header."""
    return (make_header(name, len(content)) if header is None else header) + content + make_padding(len(content))


def volume(*members: bytes, end: bytes = END) -> bytes:
    """Return a volume with *members* after its own three."""
    index = make_index(())
    about = make_volume_document(f"sha256:{'a' * 64}", 1, 1, index, {})
    own = (member("oci-layout", LAYOUT_CONTENT), member("index.json", index), member("imgsync-volume.json", about))
    return b"".join((*own, *members, end))


def special(name: str, kind: bytes, *, target: str = "", size: int = 0) -> bytes:
    """Return the header of a link, a device or another special member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse() -> bytes:
    """Return a GNU sparse member of 8 GiB in a few bytes."""
    header = bytearray(special(NAME, tarfile.GNUTYPE_SPARSE))
    header[483:495] = b"%011o\x00" % ((8 << 30) - 1)
    return bytes(header)


def many(count: int) -> bytes:
    """Return a volume with *count* empty members."""
    names = io.BytesIO()
    for number in range(count):
        names.write(make_header(f"blobs/sha256/{number:064x}", 0))
    return volume(names.getvalue())


VOLUMES = {
    "symbolic link": lambda: volume(special(NAME, tarfile.SYMTYPE, target="/etc/passwd")),
    "hard link": lambda: volume(special(NAME, tarfile.LNKTYPE, target="../secret")),
    "device": lambda: volume(special(NAME, tarfile.CHRTYPE)),
    "pipe": lambda: volume(special(NAME, tarfile.FIFOTYPE)),
    "folder": lambda: volume(special("blobs", tarfile.DIRTYPE)),
    "absolute name": lambda: volume(member("/etc/passwd", BLOB)),
    "parent name": lambda: volume(member("../secret", BLOB)),
    "parent name in a blob": lambda: volume(member("blobs/sha256/../../secret", BLOB)),
    "upper case": lambda: volume(member(NAME.replace("blobs", "Blobs"), BLOB)),
    "upper case digest": lambda: volume(member(NAME.upper().replace("BLOBS/SHA256", "blobs/sha256"), BLOB)),
    "sparse member": lambda: volume(sparse()),
    "long name of GNU": lambda: volume(special("x" * 300, tarfile.REGTYPE)),
    "pax header with a link": lambda: volume(tarfile.TarInfo(NAME).create_pax_header({"name": NAME, "linkname": "/etc"} | _info(), "utf-8")),
    "false size": lambda: volume(member(NAME, BLOB, header=make_header(NAME, 1 << 40))),
    "negative size": lambda: volume(special(NAME, tarfile.REGTYPE, size=-1)),
    "size beyond the file": lambda: volume(make_header(NAME, 100_000)),
    "member twice": lambda: volume(member(NAME, BLOB), member(NAME, BLOB)),
    "own member twice": lambda: volume(member("index.json", b"{}")),
    "unknown member": lambda: volume(member("README", b"")),
    "no end": lambda: volume(member(NAME, BLOB), end=b""),
    "trailing bytes": lambda: volume(member(NAME, BLOB), end=END + bytes(512)),
    "wrong content": lambda: volume(member(NAME, BLOB[::-1])),
    "part that is not listed": lambda: volume(member(f"{NAME}.part-001", BLOB)),
    "other owner": lambda: volume(_owned()),
    "not a tar": lambda: os.urandom(5000),
    "empty": lambda: b"",
    "zeros": lambda: bytes(10_240),
}


def _info() -> dict:
    return {"mode": 0o644, "uid": 0, "gid": 0, "size": 0, "mtime": 0, "type": b"0", "uname": "", "gname": "", "devmajor": 0, "devminor": 0, "chksum": 0}


def _owned() -> bytes:
    info = tarfile.TarInfo(NAME)
    info.size, info.uid, info.mtime = len(BLOB), 1000, 1
    return info.tobuf(tarfile.USTAR_FORMAT) + BLOB + make_padding(len(BLOB))


@pytest.mark.row("BUN-01")
@pytest.mark.parametrize("name", VOLUMES)
def test_hostile_volume_alone_is_refused(tmp_path, name):
    """Within bounds of time and memory, and with a message that can be printed."""
    path = tmp_path / "imgsync-bundle.001.tar"
    path.write_bytes(VOLUMES[name]())
    tracemalloc.start()
    try:
        message = _verify_alone(path)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()

    assert message
    assert message.isprintable()


@pytest.mark.row("BUN-01")
@pytest.mark.nightly
def test_volume_of_a_million_members_is_refused(tmp_path, monkeypatch):
    """After a bounded number of them; by day the bound is lower."""
    limit = effort(5_000, volume_reader.MEMBERS_LIMIT)
    monkeypatch.setattr(volume_reader, "MEMBERS_LIMIT", limit)
    path = tmp_path / "imgsync-bundle.001.tar"
    path.write_bytes(many(limit + 1))

    with pytest.raises(BundleError, match=r"has more than .* members"):
        verify_volume(path)


def _verify_alone(path: Path) -> str:
    """Return what is wrong with the volume, "" if nothing is."""
    try:
        return "; ".join(problem.message for problem in verify_volume(path).problems)
    except BundleError as error:
        return error.message


def test_same_volume_without_harm_is_intact(tmp_path):
    """So that the tests above fail for the reason they name."""
    path = tmp_path / "imgsync-bundle.001.tar"
    path.write_bytes(volume(member(NAME, BLOB)))

    assert verify_volume(path).is_intact


@pytest.mark.row("BUN-04")
@pytest.mark.parametrize("make", FILES)
def test_volume_alone_that_is_no_regular_file_is_refused(folder, make):
    """As the others."""
    path = folder / "imgsync-bundle.001.tar"
    make(path)

    with pytest.raises(BundleError, match="cannot be read"):
        verify_volume(path)


@pytest.mark.row("BUN-06")
def test_volume_of_another_bundle_is_found(tmp_path):
    """It has the right name, and all its digests are right."""
    write_bundle(tmp_path / "a", make_cargo(2))
    write_bundle(tmp_path / "b", make_cargo(2, layer_bytes=2001))
    name = "imgsync-bundle.001.tar"
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())

    found = verify_bundle([tmp_path / "a"], read_document([tmp_path / "a"]))

    assert not found.is_intact
    assert len(found.lost) == 2


def test_bundle_without_volumes_is_intact():
    """All of it is expected at the other side."""
    bundle = decode_bundle(encode_bundle(Bundle((), (), ())), name="doc")

    assert verify_bundle([], bundle).is_intact
    assert find_contradiction(Bundle((), (), (BundleVolume("x.001.tar", 1),))) != ""
