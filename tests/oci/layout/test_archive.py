"""Layouts in archives: read at their place, byte for byte, and never written."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from imgsync.errors import LayoutError
from imgsync.oci.layout.archive import ArchiveFiles
from tests.support.archives import END, docker_24, entries_of, folder, header, layout_members, member, pax, read_all, saved, tar
from tests.support.images import DOCKER, image, index


@pytest.fixture
def path(tmp_path):
    """Return where the archive is."""
    return tmp_path / "image.tar"


@pytest.mark.parametrize("content", [image(1), image(2, kind=DOCKER), index(3), index(4, nested=True)], ids=["OCI", "Docker", "index", "nested index"])
def test_layout_is_read_whole(content, path):
    """All manifests and blobs, with the digests that they had."""
    path.write_bytes(tar(*layout_members(content)))

    files = ArchiveFiles(str(path))

    assert read_all(files) == content.all_blobs | content.manifests
    assert entries_of(files.read_index()) == [(content.digest, "app:1", "app:1")]
    assert files.path == str(path)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("prefix", ["", "./"])
def test_formats_of_tar_are_read(form, prefix, path, tmp_path):
    """What Python and GNU tar write, with extended headers and long names."""
    content = image(1)
    members = {f"{prefix}blobs/{digest.replace(':', '/')}": blob for digest, blob in {**content.all_blobs, **content.manifests}.items()}
    members |= {f"{prefix}index.json": layout_members(content)[1][512:].rstrip(b"\0"), f"{prefix}{'n' * 90}/{'m' * 90}": b"a long name"}
    with tarfile.open(path, "w", format=form) as archive:
        for name, raw in members.items():
            (tmp_path / "file").write_bytes(raw)
            archive.add(tmp_path / "file", name)

    assert read_all(ArchiveFiles(str(path))) == content.all_blobs | content.manifests


def test_members_with_extended_headers_are_read(path):
    """Attributes of files are passed over; a long name is used."""
    content = image(1)
    members = layout_members(content)
    named = pax({"path": "./index.json", "LIBARCHIVE.xattr.com.apple.x": "AA", "mtime": "1.5"}) + member("x", members[1][512:].rstrip(b"\0"))
    path.write_bytes(tar(pax({"comment": "global"}, kind=b"g"), members[0], named, *members[2:]))

    assert read_all(ArchiveFiles(str(path))) == content.all_blobs | content.manifests


def test_parts_of_a_blob_are_read(path):
    """From any byte to any other."""
    content = image(1)
    path.write_bytes(tar(*layout_members(content)))
    files = ArchiveFiles(str(path))
    digest, blob = max(content.all_blobs.items(), key=lambda item: len(item[1]))

    for start, end in [(0, None), (1, None), (0, 1), (700, 701), (5, 5), (len(blob), None), (3, len(blob) + 9)]:
        assert b"".join(files.read_blob(digest, start=start, end=end)) == blob[start:end]


def test_parts_of_a_made_manifest_are_read(path):
    """It is in memory, and read as any other blob."""
    one = saved()
    path.write_bytes(docker_24(one))
    files = ArchiveFiles(str(path))
    ((digest, _, _),) = entries_of(files.read_index())

    assert files.find_blob(digest) == len(one.manifest)
    assert b"".join(files.read_blob(digest, start=3, end=9)) == one.manifest[3:9]


def test_blob_that_is_not_there_is_an_error(path):
    """A volume of a bundle has only some of the blobs."""
    path.write_bytes(tar(*layout_members(image(1))))
    files = ArchiveFiles(str(path))

    for digest in (f"sha256:{'0' * 64}", f"sha512:{'0' * 128}"):
        assert files.find_blob(digest) is None
        with pytest.raises(LayoutError, match=f"has no blob {digest}"):
            list(files.read_blob(digest))


def test_sha512_blob_is_read(path):
    """Its name is too long for a header, so that an extended header has it."""
    path.write_bytes(tar(*layout_members(image(1)), pax({"path": f"blobs/sha512/{'0f' * 64}"}), member("x", b"content")))
    files = ArchiveFiles(str(path))

    assert files.find_blob(f"sha512:{'0f' * 64}") == 7
    assert b"".join(files.read_blob(f"sha512:{'0f' * 64}")) == b"content"


@pytest.mark.parametrize("form", ["base 256", "pax"])
def test_blob_beyond_eight_gibibytes_is_read(form, path):
    """Eleven octal digits cannot say its size, and four bytes cannot say where the next one is."""
    size = (8 << 30) + 5
    digests = [f"{number:064x}" for number in range(2)]
    large = header(f"blobs/sha256/{digests[0]}", size_field=b"\x80" + size.to_bytes(11, "big") if form == "base 256" else b"")
    before = b"".join([*layout_members(image(1)), pax({"size": str(size)}) if form == "pax" else b"", large])
    with path.open("wb") as file:
        file.write(before)
        file.seek(size - 1, os.SEEK_CUR)
        file.write(b"x" + bytes(-size % 512) + member(f"blobs/sha256/{digests[1]}", b"the next one") + END)

    files = ArchiveFiles(str(path))

    assert files.find_blob(f"sha256:{digests[0]}") == size
    assert b"".join(files.read_blob(f"sha256:{digests[0]}", start=size - 3)) == b"\0\0x"
    assert b"".join(files.read_blob(f"sha256:{digests[1]}")) == b"the next one"


@pytest.mark.row("ARC-01")
def test_hard_link_within_the_archive_is_resolved(path):
    """tar writes one for files that are one on disk."""
    members = layout_members(image(1))
    path.write_bytes(
        tar(*members, member("copy/index.json", kind=b"1", target="index.json"), member(f"blobs/sha256/{'0f' * 32}", kind=b"1", target="oci-layout"))
    )
    files = ArchiveFiles(str(path))

    assert b"".join(files.read_blob(f"sha256:{'0f' * 32}")) == b'{"imageLayoutVersion": "1.0.0"}'


@pytest.mark.row("ARC-08")
def test_archive_that_becomes_shorter_is_an_error(path):
    """What is read then would be short or never end."""
    content = image(1)
    path.write_bytes(tar(*layout_members(content)))
    files = ArchiveFiles(str(path))
    os.truncate(path, 1024)

    with pytest.raises(LayoutError, match="became shorter while it was read"):
        list(files.read_blob(next(iter(content.all_blobs))))


def test_archive_that_is_closed_is_not_read(path):
    """The number of its file may be another file's by then."""
    content = image(1)
    path.write_bytes(tar(*layout_members(content)))
    files = ArchiveFiles(str(path))
    files.close()
    files.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        list(files.read_blob(content.digest))


def test_refused_archive_is_closed(path):
    """No descriptor stays open."""
    path.write_bytes(tar(member("../x")))
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(LayoutError):
        ArchiveFiles(str(path))

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_layout_below_a_folder_is_an_error(path):
    """`tar -cf image.tar FOLDER` writes one; the hint says how to write it."""
    path.write_bytes(tar(folder("out"), member("out/oci-layout", b"{}"), member("out/index.json", b"{}")))

    with pytest.raises(LayoutError, match="the layout is in the folder 'out' of the archive, not at its top") as caught:
        ArchiveFiles(str(path))

    assert "tar -C FOLDER -cf image.tar ." in caught.value.hint


@pytest.mark.parametrize("version", ['{"imageLayoutVersion": "2.0.0"}', "{}", "[]", ""])
def test_layout_of_another_version_is_an_error(version, path):
    """Its blobs might be elsewhere."""
    path.write_bytes(tar(member("oci-layout", version.encode()), member("index.json", b"{}")))

    with pytest.raises(LayoutError, match="layout"):
        ArchiveFiles(str(path))
