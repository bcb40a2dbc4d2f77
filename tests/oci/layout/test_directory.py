"""Folders of layouts are read without following anything, within bounds."""

from __future__ import annotations

import os
import socket

import pytest

from imgsync.errors import LayoutError
from imgsync.oci.layout.directory import LayoutFolder
from tests.support.images import first_layer, image
from tests.support.layouts import LayoutOnDisk, named


@pytest.fixture
def layout(tmp_path):
    """Return a layout with one image."""
    made = LayoutOnDisk(tmp_path / "layout").make()
    made.add(image(1), annotations=named("a/b:1"))
    return made


def replace(path, kind: str, secret) -> None:
    """Put something of *kind* where a file or folder was."""
    if path.is_dir():
        path.rename(path.with_name("moved"))
    else:
        path.unlink()
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "link within":
        path.symlink_to(path.parent)
    elif kind == "named pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            folder = os.open(path.parent, os.O_RDONLY)
            opened.bind(f"/proc/self/fd/{folder}/{path.name[:40]}")
            os.close(folder)
            (path.parent / path.name[:40]).rename(path)
    else:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))


@pytest.mark.row("LAY-02")
@pytest.mark.parametrize("kind", ["link", "link within", "named pipe", "folder", "socket", "device"])
@pytest.mark.parametrize("place", ["oci-layout", "index.json", "blob"])
def test_only_regular_files_are_read(layout, tmp_path, place, kind):
    """One error names what it is, and nothing outside is read, nor does anything block."""
    secret = tmp_path / "secret"
    secret.write_text('{"imageLayoutVersion":"1.0.0"}')
    digest = first_layer(image(1))
    try:
        replace(layout.blob(digest) if place == "blob" else layout.folder / place, kind, secret)
    except PermissionError:
        pytest.skip("this user can make no devices")
    files = LayoutFolder(str(layout.folder))

    with pytest.raises(LayoutError) as caught:
        _ = files.find_blob(digest) if place == "blob" else files.read_index()

    files.close()
    assert ("a link" if "link" in kind else f"a {kind}") + ", not a file" in caught.value.message
    assert caught.value.hint.startswith("imgsync follows no link out of a layout")


@pytest.mark.row("LAY-02")
@pytest.mark.parametrize("place", ["blobs", "blobs/sha256"])
def test_folder_of_blobs_is_no_link(layout, tmp_path, place):
    """All blobs would lie elsewhere."""
    target = layout.folder / place
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    files = LayoutFolder(str(layout.folder))

    with pytest.raises(LayoutError, match="is a link, not a folder"):
        files.find_blob(first_layer(image(1)))

    files.close()


@pytest.mark.row("LAY-02")
def test_blob_that_is_exchanged_for_a_pipe_does_not_block(layout, monkeypatch):
    """Between the look at it and the opening."""
    digest = first_layer(image(1))
    path = layout.blob(digest)
    files = LayoutFolder(str(layout.folder))
    files.find_blob(digest)
    looked = os.stat

    def exchange(*arguments, **options):
        found = looked(*arguments, **options)
        if arguments[0] == path.name and path.is_file():
            path.unlink()
            os.mkfifo(path)
        return found

    monkeypatch.setattr("imgsync.oci.layout.safe_open.os.stat", exchange)

    with pytest.raises(LayoutError, match="is not a regular file"):
        list(files.read_blob(digest))

    files.close()


@pytest.mark.row("LAY-03")
@pytest.mark.parametrize("digest", ["sha256:../../secret", "../secret:x", f"sha256:{'A' * 64}", f"sha256:{'0' * 63}/", "sha512:x", "md5:" + "0" * 32])
def test_invalid_digest_is_no_path(layout, digest):
    """Whoever asks for it."""
    files = LayoutFolder(str(layout.folder))

    assert files.find_blob(digest) is None
    with pytest.raises(LayoutError, match="has no blob"):
        list(files.read_blob(digest))

    files.close()


def test_blob_is_read_in_part(layout):
    """From a start to before an end."""
    content = image(1)
    digest = first_layer(content)
    blob = content.blobs[digest]
    files = LayoutFolder(str(layout.folder))

    assert files.find_blob(digest) == len(blob)
    assert b"".join(files.read_blob(digest)) == blob
    assert b"".join(files.read_blob(digest, start=5, end=9)) == blob[5:9]
    assert b"".join(files.read_blob(digest, start=len(blob))) == b""

    files.close()


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('{"imageLayoutVersion":"2.0.0"}', "version '2.0.0'; imgsync knows 1.0.0"),
        ("[]", "version 'None'"),
        ("{" * 100_000, "version 'None'"),
        ('{"imageLayoutVersion":"\x1b[31m"}', r"version '\\x1b[31m'"),
        ("", "version 'None'"),
    ],
)
def test_unknown_version_is_refused(layout, marker, message):
    """What another version means is not known."""
    (layout.folder / "oci-layout").write_text(marker)
    files = LayoutFolder(str(layout.folder))

    with pytest.raises(LayoutError) as caught:
        files.read_index()

    files.close()
    assert message.replace("\\\\", "\\") in caught.value.message or "version 'None'" in caught.value.message


def test_folder_with_other_content_is_no_layout(tmp_path):
    """A wrong path must not become a layout; an empty folder, or a new file system, may."""
    (tmp_path / "lost+found").mkdir()
    files = LayoutFolder(str(tmp_path))
    assert not files.has_layout()
    (tmp_path / "photo.jpg").touch()

    with pytest.raises(LayoutError, match="is not an OCI layout: it has other files, and no file oci-layout"):
        files.has_layout()

    files.close()


@pytest.mark.row("LAY-04")
def test_huge_index_is_not_read(layout):
    """A sparse file of any size costs no memory."""
    os.truncate(layout.folder / "index.json", 1 << 40)
    files = LayoutFolder(str(layout.folder))

    with pytest.raises(LayoutError, match=r"index\.json is larger than 64 MiB"):
        files.read_index()

    files.close()
