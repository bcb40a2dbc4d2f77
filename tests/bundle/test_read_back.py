"""What is written is synced and read back while more is written."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from imgsync.bundle import read_back
from imgsync.bundle.placement import place
from imgsync.bundle.writer import BundleWriter
from imgsync.concurrency.greenlets import pause
from imgsync.errors import OutputError
from imgsync.oci.spec.descriptor import Descriptor
from tests.support.bundles import make_cargo, read_files, write_blob, write_bundle

_MIB = 1 << 20
_LAYER_BYTES = 9 * _MIB
_CHUNK_BYTES = 200_000


@pytest.fixture(autouse=True)
def _short_rounds(monkeypatch):
    monkeypatch.setattr(read_back, "_ROUND_BYTES", 3 * _MIB)
    monkeypatch.setattr(read_back, "_BEHIND_BYTES", _MIB)


@pytest.fixture
def reads(monkeypatch):
    """Record the size of each read."""
    found, pread = [], os.pread

    def read(file: int, size: int, offset: int) -> bytes:
        content = pread(file, size, offset)
        found.append(len(content))
        return content

    monkeypatch.setattr(os, "pread", read)
    return found


def wait_until(true) -> None:
    """Let the round beside run until *true* says so."""
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends, "it does not come"
        pause(0.001)


def largest_of(cargo):
    """Return the digest of the largest blob."""
    return max(cargo.data, key=lambda digest: len(cargo.data[digest]))


def write_part(writer: BundleWriter, cargo, digest: str, size: int):
    """Begin a blob, write its first bytes, and return the sink."""
    sink = writer.begin(Descriptor("", digest, len(cargo.data[digest])))
    for start in range(0, size, _CHUNK_BYTES):
        sink.write(cargo.data[digest][start : min(start + _CHUNK_BYTES, size)])
    return sink


def write_rest(sink, content: bytes, begin: int) -> None:
    """Write a blob from the byte *begin* to its end."""
    for start in range(begin, len(content), _CHUNK_BYTES):
        sink.write(content[start : start + _CHUNK_BYTES])
    sink.commit()


def damage(folder: Path, content: bytes) -> None:
    """Change bytes where *content* begins in the volume under way."""
    volume = folder / ".imgsync-bundle.partial" / "imgsync-bundle.001.tar"
    at = volume.read_bytes().index(content)
    with volume.open("r+b") as file:
        file.seek(at)
        file.write(bytes(len(content)))


def test_large_blob_is_read_back_while_it_is_written(tmp_path, reads):
    """Each byte once, most of them before the last one is written."""
    cargo = make_cargo(1, layers=1, layer_bytes=_LAYER_BYTES)
    digest = largest_of(cargo)
    with BundleWriter(tmp_path / "a", place(cargo.contents)) as writer:
        reads.clear()
        sink = write_part(writer, cargo, digest, 6 * _MIB)
        wait_until(lambda: sum(reads) >= 3 * _MIB)
        assert sum(reads) <= 6 * _MIB - read_back._BEHIND_BYTES
        write_rest(sink, cargo.data[digest], 6 * _MIB)
        for other in set(cargo.data) - {digest}:
            write_blob(writer, cargo.data[other], other)
        writer.finish()

    around = 16 << 10
    assert cargo.unique_bytes <= sum(reads) <= cargo.unique_bytes + around
    write_bundle(tmp_path / "b", cargo)
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


@pytest.mark.row("BUN-09")
@pytest.mark.parametrize("at", [0, 5 * _MIB], ids=["before it is read", "in what is read last"])
def test_damage_to_a_large_blob_is_found(tmp_path, at):
    """A medium that loses bytes while the blob is written; the next run writes it again."""
    cargo = make_cargo(1, layers=1, layer_bytes=_LAYER_BYTES)
    digest = largest_of(cargo)
    with BundleWriter(tmp_path, place(cargo.contents)) as writer:
        for other in set(cargo.data) - {digest}:
            write_blob(writer, cargo.data[other], other)
        written = at + 2 * _MIB
        sink = write_part(writer, cargo, digest, written)
        damage(tmp_path, cargo.data[digest][at : at + 1000])
        write_rest(sink, cargo.data[digest], written)

        with pytest.raises(OutputError, match="was read back with other bytes"):
            writer.finish()

    with BundleWriter(tmp_path, place(cargo.contents)) as writer:
        assert list(writer.missing()) == [digest]


def test_parts_of_a_cut_blob_are_read_back_while_they_are_written(tmp_path, reads):
    """Each of them has a digest of its own; the bundle is the same as without."""
    cargo = make_cargo(1, layers=1, layer_bytes=_LAYER_BYTES)
    placement = place(cargo.contents, volume_bytes=2 * _MIB)
    digest = largest_of(cargo)
    with BundleWriter(tmp_path / "a", placement) as writer:
        sink = write_part(writer, cargo, digest, 7 * _MIB)
        wait_until(lambda: sum(reads) >= 3 * _MIB)
        write_rest(sink, cargo.data[digest], 7 * _MIB)
        for other in set(cargo.data) - {digest}:
            write_blob(writer, cargo.data[other], other)
        bundle = writer.finish()

    assert len(next(blob for blob in bundle.blobs if blob.digest == digest).parts) >= 5
    assert write_bundle(tmp_path / "b", cargo, volume_bytes=2 * _MIB) == bundle
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


@pytest.mark.row("BUN-09")
def test_blob_that_begins_again_is_read_back_from_its_beginning(tmp_path, reads):
    """What was read of the first try does not count."""
    cargo = make_cargo(1, layers=1, layer_bytes=_LAYER_BYTES)
    digest = largest_of(cargo)
    with BundleWriter(tmp_path, place(cargo.contents)) as writer:
        wrong = writer.begin(Descriptor("", digest, len(cargo.data[digest])))
        for _ in range(5):
            wrong.write(bytes(_MIB))
        wait_until(lambda: sum(reads) >= 2 * _MIB)
        wrong.abort()
        for one, content in cargo.data.items():
            write_blob(writer, content, one, chunk_bytes=_CHUNK_BYTES)

        writer.finish()


@pytest.mark.row("BUN-09")
def test_failed_sync_stops_what_is_written_next(tmp_path, monkeypatch):
    """The disk is full or broken, and the blob is not finished yet."""
    cargo = make_cargo(1, layers=1, layer_bytes=_LAYER_BYTES)
    digest = largest_of(cargo)
    failed = []

    def fail(*_: object) -> None:
        failed.append(1)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with BundleWriter(tmp_path, place(cargo.contents)) as writer:
        monkeypatch.setattr(os, "fsync", fail)
        sink = write_part(writer, cargo, digest, 4 * _MIB)
        wait_until(lambda: failed)
        with pytest.raises(OSError, match="Input/output error"):
            write_rest(sink, cargo.data[digest], 4 * _MIB)
        with pytest.raises(OutputError, match="Input/output error"):
            writer.finish()
        monkeypatch.undo()


@pytest.mark.row("BUN-07")
def test_what_a_killed_run_left_is_synced(tmp_path, monkeypatch):
    """The volume is synced before its blobs count, though nothing more is written to it."""
    cargo = make_cargo(2)
    writer = BundleWriter(tmp_path, place(cargo.contents))
    for digest, content in cargo.data.items():
        write_blob(writer, content, digest)
    # As after a kill: without `close`, which syncs.
    writer._release()
    synced, fsync = [], os.fsync

    def record(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink().name)
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    with BundleWriter(tmp_path, place(cargo.contents)) as again:
        assert list(again.missing()) == []
        synced.clear()

    assert synced == ["imgsync-bundle.001.tar", "journal"]


def test_round_that_comes_too_late_does_nothing(tmp_path, monkeypatch):
    """A round that did not begin before the writer is closed opens no file again."""
    cargo = make_cargo(1, layers=1, layer_bytes=_LAYER_BYTES)
    digest = largest_of(cargo)
    writer = BundleWriter(tmp_path, place(cargo.contents))
    rounds = []
    monkeypatch.setattr(read_back, "spawn", rounds.append)
    sink = write_part(writer, cargo, digest, 5 * _MIB)
    sink.abort()
    writer.close()
    monkeypatch.setattr(read_back.OpenFiles, "open", lambda *_: pytest.fail("a file was opened"))

    for run in rounds:
        run()

    assert len(rounds) == 1
