"""Hostile archives: one clear error each, nothing outside is opened, memory and time are bounded."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgsync.errors import LayoutError
from imgsync.oci.layout import archive_index, tar_members
from imgsync.oci.layout.archive import ArchiveFiles
from imgsync.oci.layout.index_json import parse_index
from imgsync.oci.layout.tar_members import MEMBER_LIMIT
from tests.support.archives import END, folder, header, layout_members, link, member, tar
from tests.support.effort import effort
from tests.support.hostile_archives import BOMBS, CUT, DOCKER, EXTENDED, KINDS, LINKS, NAMES, SIZES, SPARSE, TWICE, make_bomb, plant
from tests.support.images import image


@contextlib.contextmanager
def traced() -> Iterator[None]:
    """Trace what memory the block takes."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@pytest.fixture
def refuse(tmp_path, monkeypatch):
    """Return a function that reads an archive, and checks its one error."""
    path = tmp_path / "image.tar"
    opened: list[str] = []
    open_file = os.open
    monkeypatch.setattr(os, "open", lambda name, *rest, **named: opened.append(str(name)) or open_file(name, *rest, **named))

    def check(content: bytes, message: str) -> None:
        path.write_bytes(content)
        opened.clear()
        with pytest.raises(LayoutError) as caught:
            parse_index(ArchiveFiles(str(path)).read_index(), where=str(path))
        assert caught.value.message.startswith(str(path))
        assert message in caught.value.message
        assert caught.value.message.isprintable()
        assert len(caught.value.message) < 600
        assert caught.value.advice
        assert opened == [str(path)]
        assert list(tmp_path.iterdir()) == [path]

    return check


@pytest.mark.row("ARC-01")
@pytest.mark.parametrize("kind", LINKS)
def test_link_out_of_the_archive_is_refused(kind, refuse):
    """Also one to another link, to a folder, or to nothing."""
    refuse(*LINKS[kind])


@pytest.mark.row("ARC-02")
@pytest.mark.parametrize("kind", KINDS)
def test_device_or_unknown_member_is_refused(kind, refuse):
    """Only files, folders and links are read."""
    refuse(*KINDS[kind])


@pytest.mark.row("ARC-03")
@pytest.mark.parametrize("kind", NAMES)
def test_name_outside_the_archive_is_refused(kind, refuse):
    """In whatever header it is."""
    refuse(*NAMES[kind])


@pytest.mark.row("ARC-04")
@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_member_is_refused(kind, refuse):
    """In each format that describes one."""
    refuse(*SPARSE[kind])


@pytest.mark.row("ARC-05")
@pytest.mark.parametrize("kind", SIZES)
def test_member_with_a_false_size_is_refused(kind, refuse):
    """What other programs would read as other members."""
    refuse(*SIZES[kind])


@pytest.mark.row("ARC-06")
@pytest.mark.parametrize("kind", TWICE)
def test_two_members_of_one_name_are_refused(kind, refuse):
    """Also where only a file system that ignores case would mix them up."""
    refuse(*TWICE[kind])


@pytest.mark.row("ARC-07")
@pytest.mark.parametrize("kind", EXTENDED)
def test_malformed_extended_header_is_refused(kind, refuse):
    """Of any size."""
    refuse(*EXTENDED[kind])


@pytest.mark.row("ARC-08")
@pytest.mark.parametrize("kind", CUT)
def test_damaged_archive_is_refused(kind, refuse):
    """Truncated, or no tar archive."""
    refuse(*CUT[kind])


@pytest.mark.row("ARC-10")
@pytest.mark.parametrize("kind", BOMBS)
def test_bomb_is_refused_within_bounds(kind, refuse):
    """Memory stays far below what the content would need."""
    content, message = make_bomb(kind)

    with traced():
        refuse(content, message)
        peak = tracemalloc.get_traced_memory()[1]

    assert peak < 60 << 20


@pytest.mark.row("ARC-11")
@pytest.mark.parametrize("kind", DOCKER)
def test_false_manifest_json_is_refused(kind, refuse):
    """It names paths, which are looked up among the members alone."""
    refuse(*DOCKER[kind])


@pytest.mark.row("ARC-09")
@pytest.mark.nightly
def test_archive_of_a_million_members_is_refused(tmp_path, monkeypatch):
    """After the limit, in little memory."""
    limit = effort(5_000, MEMBER_LIMIT)
    monkeypatch.setattr(tar_members, "MEMBER_LIMIT", limit)
    path = _write_blobs(tmp_path / "image.tar", effort(20_000, 1_000_000))

    with traced():
        with pytest.raises(LayoutError, match=f"the archive has more than {limit:,} members"):
            ArchiveFiles(str(path))
        peak = tracemalloc.get_traced_memory()[1]

    assert peak < 200 * limit + (4 << 20)


@pytest.mark.row("ARC-09")
@pytest.mark.nightly
def test_archive_of_many_blobs_needs_little_memory(tmp_path):
    """Less than 64 bytes for each once it is open."""
    count = effort(5_000, MEMBER_LIMIT - 2)
    path = _write_blobs(tmp_path / "image.tar", count)

    with traced():
        files = ArchiveFiles(str(path))
        taken = tracemalloc.get_traced_memory()[0]

    assert taken < 64 * count + (1 << 20)
    assert files.find_blob(f"sha256:{7:064x}") == 0
    assert files.find_blob(f"sha256:{count:064x}") is None
    files.close()


def _write_blobs(path: Path, count: int) -> Path:
    with path.open("wb") as file:
        file.write(b"".join(layout_members(image(1))[:2]))
        file.writelines(header(f"blobs/sha256/{number:064x}") for number in range(count))
        file.write(END)
    return path


@pytest.mark.row("ARC-09")
@pytest.mark.parametrize("members", ["files", "links"])
def test_archive_of_many_files_is_refused(members, refuse, monkeypatch):
    """Names of what is no blob take memory."""
    monkeypatch.setattr(archive_index, "FILE_LIMIT", 100)
    many = [member(f"x{number}") if members == "files" else link(f"x{number}", "index.json") for number in range(101)]

    refuse(plant(*many, kind=members), "the archive has more than 100 members that are not blobs")


@pytest.mark.row("ARC-09")
def test_archive_of_long_names_is_refused(refuse, monkeypatch):
    """Their bytes are counted too."""
    monkeypatch.setattr(archive_index, "NAMES_LIMIT_BYTES", 2 << 20)

    refuse(plant(*(member(f"{number:06}{'x' * 90}") for number in range(23_000)), kind="names"), "more than 2 MiB of names of members that are not blobs")


@pytest.mark.row("ARC-06")
def test_folder_may_be_there_twice(tmp_path):
    """Many tools write one before each of its files."""
    path = tmp_path / "image.tar"
    path.write_bytes(tar(folder("."), folder("./blobs"), folder("blobs"), *layout_members(image(1))))

    assert ArchiveFiles(str(path)).read_index()
