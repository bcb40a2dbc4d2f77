"""A layout is opened by what its path is: a folder, or an archive."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shlex
import subprocess

import pytest

from imgsync.errors import LayoutError
from imgsync.oci.layout.archive import ArchiveFiles
from imgsync.oci.layout.directory import LayoutFolder
from imgsync.oci.layout.open_files import open_files
from tests.support.archives import layout_members, tar
from tests.support.images import image

_ARCHIVE = tar(*layout_members(image(1)))


def test_archive_is_opened_by_its_content(tmp_path):
    """Its name may be any."""
    path = tmp_path / "image.tar.gz"
    path.write_bytes(_ARCHIVE)

    assert isinstance(open_files(str(path)), ArchiveFiles)


def test_folder_is_opened_as_a_folder(tmp_path):
    """Also by a link, which the operator made."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")

    assert isinstance(open_files(str(tmp_path / "link")), LayoutFolder)


@pytest.mark.row("ARC-13")
@pytest.mark.parametrize(
    ("name", "compress"),
    [("image.tar.gz", gzip.compress), ("image.tgz", gzip.compress), ("it's an image", gzip.compress), ("i.tar.xz", lzma.compress), ("i.bz2", bz2.compress)],
)
def test_compressed_archive_is_an_error_with_the_command(name, compress, tmp_path):
    """The command in the hint makes an archive that is read."""
    path = tmp_path / name
    path.write_bytes(compress(_ARCHIVE))

    with pytest.raises(LayoutError, match="is compressed with") as caught:
        open_files(str(path))

    command = caught.value.hint.removeprefix("decompress it first: ")
    subprocess.run(["sh", "-c", command], check=True)
    unpacked = shlex.split(command)[-1]
    assert unpacked.endswith(".tar")
    assert open_files(unpacked).read_index()


@pytest.mark.row("ARC-13")
@pytest.mark.parametrize(("head", "name"), [(b"\x28\xb5\x2f\xfd", "zstd"), (b"\x04\x22\x4d\x18", "lz4"), (b"PK\x03\x04", "zip")])
def test_other_compressed_file_is_an_error(head, name, tmp_path):
    """Each is named."""
    path = tmp_path / "image"
    path.write_bytes(head + bytes(100))

    with pytest.raises(LayoutError, match=f"is compressed with {name}") as caught:
        open_files(str(path))

    assert caught.value.hint


@pytest.mark.row("ARC-13")
def test_named_pipe_is_not_waited_for(tmp_path):
    """Nor is a device read."""
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(LayoutError, match="it is not a regular file"):
            open_files(str(path))


def test_missing_path_is_an_error(tmp_path):
    """Of the operating system, which the caller explains."""
    with pytest.raises(FileNotFoundError):
        open_files(str(tmp_path / "none"))
