"""An interrupted bundle is continued: finished blobs are kept, also at new places."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from imgsync.bundle.journal import Journal, Piece, Stored
from imgsync.bundle.placement import Content, place
from imgsync.bundle.work_folder import JOURNAL
from imgsync.bundle.writer import BundleWriter
from imgsync.errors import LockedError, OutputError, UsageError
from tests.support import killed_writer
from tests.support.bundles import Cargo, make_cargo, read_files, write_blob, write_bundle, write_placement
from tests.support.effort import effort
from tests.support.images import image, layer

_MIB = 1 << 20
ROOT = Path(__file__).parents[2]


def run_killed(folder: Path, seed: int, call: int) -> int | None:
    """Write the bundle until the system call *call*; return the number of calls, None if it was killed."""
    command = [sys.executable, "-m", "tests.support.killed_writer", str(folder), str(seed), str(call)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in {0, -9}, done.stderr
    return int(done.stdout) if done.returncode == 0 else None


def read_log(folder: Path) -> tuple[list[str], set[str]]:
    """Return the blobs that were begun, in order, and those that were committed."""
    lines = [line.split() for line in Path(f"{folder}.log").read_text().splitlines()]
    return [digest for word, digest in lines if word == "begin"], {digest for word, digest in lines if word == "commit"}


@pytest.mark.row("BUN-07")
@pytest.mark.nightly
def test_kill_at_any_call_loses_one_blob_per_connection(tmp_path):
    """The next run writes those again, and the bundle is byte for byte the same."""
    expected_calls = run_killed(tmp_path / "whole", 0, 0)
    expected = read_files(tmp_path / "whole")
    chosen = random.Random(50)
    for seed in range(effort(6, 50)):
        folder = tmp_path / f"killed-{seed}"
        call = chosen.randrange(1, expected_calls + 1)
        assert run_killed(folder, seed, call) is None
        begun, committed = read_log(folder)

        run_killed(folder, seed + 1, 0)

        again = [digest for digest in read_log(folder)[0][len(begun) :] if digest in begun]
        assert len(again) <= killed_writer.CONNECTIONS, call
        assert committed.isdisjoint(again), call
        assert read_files(folder) == expected, call


@pytest.mark.row("BUN-07")
def test_two_kills_in_a_row_are_continued(tmp_path):
    """Each run goes on where the last one was killed."""
    folder = tmp_path / "bundle"
    assert run_killed(folder, 1, 40) is None
    assert run_killed(folder, 2, 30) is None

    run_killed(folder, 3, 0)

    assert read_files(folder) == read_files(write_whole(tmp_path / "whole", killed_writer.cargo()))


def write_whole(folder: Path, cargo: Cargo, *, volume_bytes: int = _MIB) -> Path:
    """Write the bundle without an interruption; return its folder."""
    write_bundle(folder, cargo, volume_bytes=volume_bytes)
    return folder


@pytest.mark.row("BUN-07")
def test_blob_that_a_power_failure_lost_is_written_again(tmp_path):
    """It was noted, and its bytes had not reached the disk."""
    cargo = make_cargo(2)
    placement = place(cargo.contents)
    writer = BundleWriter(tmp_path / "a", placement)
    for digest, content in cargo.data.items():
        write_blob(writer, content, digest)
    # As after a failure: without `close`, which syncs.
    writer._release()
    volume = tmp_path / "a" / ".imgsync-bundle.partial" / "imgsync-bundle.001.tar"
    largest = max(cargo.data, key=lambda digest: len(cargo.data[digest]))
    content = volume.read_bytes()
    at = content.index(cargo.data[largest])
    volume.write_bytes(content[: at + 100] + bytes(500) + content[at + 600 :])

    with BundleWriter(tmp_path / "a", placement) as again:
        assert list(again.missing()) == [largest]

    write_placement(tmp_path / "a", placement, cargo.data)
    assert read_files(tmp_path / "a") == read_files(write_whole(tmp_path / "b", cargo, volume_bytes=64 * _MIB))


@pytest.mark.row("BUN-07")
def test_torn_line_of_the_journal_does_not_count(tmp_path):
    """The blob that it was about is written again."""
    cargo = make_cargo(1)
    placement = place(cargo.contents)
    with BundleWriter(tmp_path, placement) as writer:
        first, second, *_ = cargo.data
        write_blob(writer, cargo.data[first], first)
        write_blob(writer, cargo.data[second], second)
    journal = tmp_path / ".imgsync-bundle.partial" / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    torn = next(number for number, line in enumerate(lines) if second.encode() in line and b'"blob"' in line)
    journal.write_bytes(b"".join(lines[:torn]) + lines[torn][:-20])

    with BundleWriter(tmp_path, placement) as again:
        assert second in set(again.missing())


@pytest.mark.row("BUN-11")
@pytest.mark.parametrize("seed", range(effort(12, 200)))
def test_finished_blobs_move_to_a_new_placement(tmp_path, seed):
    """Images came or went, or volumes have another size: nothing is written twice, and the bytes are those of a fresh bundle."""
    chosen = random.Random(seed)
    base = layer("base", chosen.choice([2000, 1_500_000, 3_000_000]))
    images = [image(f"app-{number}", 2, shared=base, layer_bytes=chosen.choice([100, 30_000, 400_000, 1_200_000])) for number in range(7)]
    cargo = make_cargo(images=images)
    before, after = (chosen.sample(cargo.contents, chosen.randrange(1, 8)) for _ in range(2))
    first, second = (place(contents, volume_bytes=chosen.choice([_MIB, 3 * _MIB, None])) for contents in (before, after))
    with BundleWriter(tmp_path / "a", first) as writer:
        written = [digest for digest in cargo.data if writer.is_placed(digest) and chosen.random() < 0.8]
        for digest in written:
            write_blob(writer, cargo.data[digest], digest, chunk_bytes=1 << 16)

    with BundleWriter(tmp_path / "a", second) as writer:
        kept = {digest for digest in written if writer.is_placed(digest)}
        assert {digest for digest in cargo.data if writer.has(digest)} == kept

    write_placement(tmp_path / "a", second, cargo.data)
    write_placement(tmp_path / "b", second, cargo.data, seed=seed)
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


@pytest.mark.row("BUN-11")
def test_one_volume_made_again_is_byte_identical(tmp_path):
    """From the blobs that lie in it alone, also from parts of blobs."""
    cargo = make_cargo(4, layer_bytes=300_000, shared_bytes=2_500_000)
    bundle = write_bundle(tmp_path, cargo, volume_bytes=_MIB)
    expected = read_files(tmp_path)
    for number, volume in enumerate(bundle.volumes, 1):
        (tmp_path / volume.file).unlink()
        held = {blob.digest: cargo.data[blob.digest] for blob in bundle.blobs_of_volume(number)}

        write_placement(tmp_path, place(cargo.contents, volume_bytes=_MIB), held, only_volume=number)

        assert read_files(tmp_path) == expected, number


@pytest.mark.row("BUN-10")
def test_volume_of_another_bundle_is_not_made(tmp_path):
    """Nor one that the bundle does not have, nor one without the bundle."""
    cargo, other = make_cargo(2), make_cargo(3)
    write_bundle(tmp_path / "a", cargo)

    with pytest.raises(UsageError, match="holds another bundle"):
        BundleWriter(tmp_path / "a", place(other.contents), only_volume=1)
    with pytest.raises(UsageError, match="has no volume 2"):
        BundleWriter(tmp_path / "a", place(cargo.contents), only_volume=2)
    with pytest.raises(UsageError, match="there is no bundle"):
        BundleWriter(tmp_path / "b", place(cargo.contents), only_volume=1)
    assert not (tmp_path / "b").exists()


@pytest.mark.row("BUN-10")
def test_finished_bundle_is_not_written_again(tmp_path):
    """And another bundle does not replace it."""
    cargo = make_cargo(2)
    bundle = write_bundle(tmp_path, cargo)
    before = read_files(tmp_path)

    with BundleWriter(tmp_path, place(cargo.contents)) as writer:
        assert writer.is_complete
        assert list(writer.missing()) == []
        assert writer.finish() == bundle
    with pytest.raises(UsageError, match="holds another bundle"):
        BundleWriter(tmp_path, place(make_cargo(3).contents))
    (tmp_path / "imgsync-bundle.001.tar").unlink()
    with pytest.raises(UsageError, match="is missing or has another size") as caught:
        BundleWriter(tmp_path, place(cargo.contents))
    assert caught.value.hint == "make it again: --volume 1"
    del before["imgsync-bundle.001.tar"]
    assert read_files(tmp_path) == before


@pytest.mark.row("BUN-10")
def test_foreign_volume_is_not_replaced(tmp_path):
    """A file with the name of a volume, and no bundle that it belongs to."""
    (tmp_path / "imgsync-bundle.001.tar").write_bytes(b"precious")

    with pytest.raises(UsageError, match="exists already"):
        BundleWriter(tmp_path, place(make_cargo(1).contents))

    assert read_files(tmp_path) == {"imgsync-bundle.001.tar": b"precious"}


@pytest.mark.row("BUN-08")
def test_second_process_is_refused(tmp_path):
    """Until the first one ends."""
    placement = place(make_cargo(1).contents)
    with BundleWriter(tmp_path, placement):
        with pytest.raises(LockedError) as caught:
            BundleWriter(tmp_path, placement)
        assert caught.value.message == f"another process writes a bundle in {tmp_path}"
    BundleWriter(tmp_path, placement).close()


@pytest.mark.row("BUN-10")
def test_bundle_of_another_name_is_not_replaced(tmp_path):
    """Both have one document; the one that is finished first stays."""
    cargo = make_cargo(1)
    with BundleWriter(tmp_path, place(cargo.contents, name="late")) as writer:
        for digest, content in cargo.data.items():
            write_blob(writer, content, digest)
        write_bundle(tmp_path, cargo)
        before = read_files_of(tmp_path)

        with pytest.raises(OutputError, match="another bundle was written there"):
            writer.finish()

    assert read_files_of(tmp_path) == before


def read_files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, without those below it."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.row("BUN-09")
def test_volume_that_is_read_back_wrong_is_an_error(tmp_path):
    """A medium that loses bytes; the next run writes this blob again, and no other."""
    cargo = make_cargo(2, layer_bytes=50_000)
    placement = place(cargo.contents)
    largest = max(cargo.data, key=lambda digest: len(cargo.data[digest]))
    with BundleWriter(tmp_path, placement) as writer:
        for digest, content in cargo.data.items():
            write_blob(writer, content, digest)
        volume = tmp_path / ".imgsync-bundle.partial" / "imgsync-bundle.001.tar"
        at = volume.read_bytes().index(cargo.data[largest])
        with volume.open("r+b") as file:
            file.seek(at + 10)
            file.write(b"\x00\xff\x00")

        with pytest.raises(OutputError, match="was read back with other bytes"):
            writer.finish()

    assert [path.name for path in tmp_path.iterdir()] == [".imgsync-bundle.partial"]
    with BundleWriter(tmp_path, placement) as writer:
        assert list(writer.missing()) == [largest]


@pytest.mark.row("BUN-10")
def test_work_folder_that_is_a_link_is_refused(tmp_path):
    """Nothing is written outside the folder that was named."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / ".imgsync-bundle.partial").symlink_to(tmp_path / "outside")

    with pytest.raises(OutputError):
        BundleWriter(tmp_path / "media", place(make_cargo(1).contents))

    assert list((tmp_path / "outside").iterdir()) == []


def test_journal_survives_what_it_did_not_write(tmp_path):
    """Rubbish in the file is as a torn line."""
    (tmp_path / "journal").write_bytes(b"rubbish\n" * 1000 + b"\xff\x00")
    with_rubbish = Journal("journal", folder=_open(tmp_path))

    assert with_rubbish.finished == {}
    assert (tmp_path / "journal").read_bytes() == b""
    with_rubbish.close()


def test_full_disk_tears_no_line_of_the_journal(tmp_path, monkeypatch):
    """Lines that are written once there is space count."""
    journal = Journal("journal", folder=_open(tmp_path))
    digests = [f"sha256:{character * 64}" for character in "abc"]
    stored = Stored((Piece(1, 0, 5),))
    journal.add(digests[0], stored)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:30]))
    with pytest.raises(OSError, match="No space left"):
        journal.add(digests[1], stored)
    monkeypatch.undo()
    journal.add(digests[2], stored)
    journal.close()

    assert list(Journal("journal", folder=_open(tmp_path)).finished) == [digests[0], digests[2]]


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY)


def test_left_out_image_frees_its_place(tmp_path):
    """As if it had never been chosen."""
    cargo = make_cargo(4, layer_bytes=200_000)
    contents: list[Content] = list(cargo.contents)
    with BundleWriter(tmp_path / "a", place(contents, volume_bytes=_MIB)) as writer:
        for digest in [blob.digest for content in contents[1:] for blob in content.blobs]:
            if not writer.has(digest):
                write_blob(writer, cargo.data[digest], digest)

    with BundleWriter(tmp_path / "a", place(contents[1:], volume_bytes=_MIB)) as writer:
        assert list(writer.missing()) == []
        writer.finish()

    write_placement(tmp_path / "b", place(contents[1:], volume_bytes=_MIB), cargo.data)
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


@pytest.mark.row("BUN-07")
@pytest.mark.parametrize("last", range(1, 6))
def test_kill_between_final_names_is_continued(tmp_path, monkeypatch, last):
    """Volumes that have their final names already belong to the bundle whose document is not there yet."""
    cargo = make_cargo(4, layer_bytes=300_000, shared_bytes=1_500_000)
    placement = place(cargo.contents, volume_bytes=_MIB)
    count, rename = 0, os.rename

    def rename_until_killed(*arguments, **named):
        nonlocal count
        count += 1
        if count == last:
            raise KeyboardInterrupt
        rename(*arguments, **named)

    monkeypatch.setattr(os, "rename", rename_until_killed)
    with pytest.raises(KeyboardInterrupt):
        write_placement(tmp_path / "a", placement, cargo.data)
    monkeypatch.undo()

    with BundleWriter(tmp_path / "a", placement) as again:
        assert list(again.missing()) == []
        again.finish()
    assert read_files(tmp_path / "a") == read_files(write_whole(tmp_path / "b", cargo))


@pytest.mark.row("BUN-07")
def test_final_names_are_taken_back_for_another_placement(tmp_path, monkeypatch):
    """An image was removed after the kill, so that the bundle has a volume less."""
    cargo = make_cargo(4, layer_bytes=300_000)
    wanted = place(cargo.contents[:1], volume_bytes=_MIB)
    monkeypatch.setattr("imgsync.bundle.complete_volumes.encode_bundle", _kill)
    with pytest.raises(KeyboardInterrupt):
        write_placement(tmp_path / "a", place(cargo.contents, volume_bytes=_MIB), cargo.data)
    monkeypatch.undo()
    assert len(read_files_of(tmp_path / "a")) > len(wanted.draft.volumes)

    with BundleWriter(tmp_path / "a", wanted) as again:
        assert list(again.missing()) == []
        again.finish()

    write_placement(tmp_path / "b", wanted, cargo.data)
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


def _kill(*_: object) -> bytes:
    raise KeyboardInterrupt
