"""Full disks, small file systems and memory."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import gevent
import pytest

from imgsync.bundle.placement import Content, place
from imgsync.bundle.work_folder import WorkFolder
from imgsync.bundle.writer import BundleWriter
from imgsync.errors import OutputError
from imgsync.oci.spec.descriptor import Descriptor
from tests.support.bundles import make_cargo, read_files, write_blob, write_bundle, write_placement
from tests.support.effort import effort

ROOT = Path(__file__).parents[2]
_GIB = 1 << 30


@pytest.mark.row("BUN-09")
def test_full_disk_is_an_error_that_loses_nothing(tmp_path, monkeypatch):
    """What was finished stays, and the next run goes on."""
    cargo = make_cargo(3, layer_bytes=50_000)
    placement = place(cargo.contents)
    digests = list(cargo.data)
    pwrite, left = os.pwrite, [120_000]

    def write_until_full(file: int, data: object, offset: int) -> int:
        view = memoryview(data)[: left[0]]
        if not view:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= len(view)
        return pwrite(file, view, offset)

    monkeypatch.setattr(os, "pwrite", write_until_full)
    with BundleWriter(tmp_path / "a", placement) as writer:
        finished = []
        with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - the blob at which it happens is not known
            for digest in digests:
                write_blob(writer, cargo.data[digest], digest)
                finished.append(digest)
        assert finished
    monkeypatch.undo()

    with BundleWriter(tmp_path / "a", placement) as writer:
        assert list(writer.missing()) == digests[len(finished) :]
    write_placement(tmp_path / "a", placement, cargo.data)
    write_bundle(tmp_path / "b", cargo)
    assert read_files(tmp_path / "a") == read_files(tmp_path / "b")


@pytest.mark.row("BUN-09")
def test_full_disk_at_the_end_is_an_error_with_a_hint(tmp_path, monkeypatch):
    """No volume has its final name yet."""
    cargo = make_cargo(1)
    with BundleWriter(tmp_path, place(cargo.contents)) as writer:
        for digest, content in cargo.data.items():
            write_blob(writer, content, digest)

        def fail(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match="No space left") as caught:
            writer.finish()
        monkeypatch.undo()

    assert caught.value.hint == "run it again to continue"
    assert [path.name for path in tmp_path.iterdir()] == [".imgsync-bundle.partial"]


@pytest.mark.row("BUN-09")
def test_no_mode_of_a_file_is_changed(tmp_path, monkeypatch):
    """FAT refuses it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    for name in ("chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse)

    write_bundle(tmp_path, make_cargo(1))

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~_umask()}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.row("BUN-09")
def test_too_little_space_is_an_error_before_anything_is_read(tmp_path):
    """With how much is missing."""
    (content,) = make_cargo(1).contents
    huge = Content(content.image, (*content.blobs, Descriptor("", f"sha256:{'e' * 64}", 1 << 60)))

    with pytest.raises(OutputError, match=r"has too little space: .* more are needed, .* are free"):
        BundleWriter(tmp_path, place([huge]))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.row("BUN-09")
def test_file_system_without_large_files_is_named_before_anything_is_read(tmp_path, monkeypatch):
    """As FAT, which takes files below 4 GiB; here a limit of the process has the same effect."""
    (content,) = make_cargo(1).contents
    large = Content(content.image, (*content.blobs, Descriptor("", f"sha256:{'e' * 64}", 5 * _GIB)))
    monkeypatch.setattr(WorkFolder, "count_free_bytes", lambda _: 1 << 50)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * _GIB - 1, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"takes no files of 5.0 GiB") as caught:
            BundleWriter(tmp_path, place([large]))
        assert caught.value.hint == "FAT takes files below 4 GiB: use --volume-size 4GiB or less"
        BundleWriter(tmp_path, place([large], volume_bytes=4 * _GIB)).close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("call", ["fsync", "pwrite"])
def test_slow_disk_stops_no_other_work(tmp_path, monkeypatch, call):
    """Each call that may take long waits here until another greenlet has run."""
    cargo = make_cargo(2)
    real, went_on = getattr(os, call), []

    def wait_for_another(*arguments: object) -> object:
        has_run = threading.Event()
        hub.loop.run_callback_threadsafe(has_run.set)
        went_on.append(has_run.wait(timeout=20))
        return real(*arguments)

    hub = gevent.get_hub()
    monkeypatch.setattr(os, call, wait_for_another)
    with BundleWriter(tmp_path, place(cargo.contents)) as writer:
        for digest, content in cargo.data.items():
            write_blob(writer, content, digest, chunk_bytes=1 << 20)
        writer.finish()

    assert went_on
    assert all(went_on)


_MEASURE = """
import hashlib, re, sys
from pathlib import Path
from imgsync.bundle.open_bundle import read_document
from imgsync.bundle.placement import Content, place
from imgsync.bundle.verify import verify_bundle
from imgsync.bundle.verify_alone import verify_volume
from imgsync.bundle.writer import BundleWriter
from imgsync.oci.spec.descriptor import Descriptor
from tests.support.bundles import make_cargo

folder, mebibytes = Path(sys.argv[1]), int(sys.argv[2])
cargo = make_cargo(1)
chunk = memoryview(bytes(range(256)) * 4096)
hasher = hashlib.sha256()
for _ in range(mebibytes):
    hasher.update(chunk)
large = Descriptor("", f"sha256:{hasher.hexdigest()}", mebibytes << 20)
contents = [Content(one.image, (*one.blobs, large)) for one in cargo.contents]
with BundleWriter(folder, place(contents, volume_bytes=100 << 20)) as writer:
    sink = writer.begin(large)
    for _ in range(mebibytes):
        sink.write(chunk)
    sink.commit()
    for digest, data in cargo.data.items():
        writer.write_whole(digest, data)
    writer.finish()
assert verify_bundle([folder], read_document([folder])).volumes[0].is_intact
assert verify_volume(folder / "imgsync-bundle.001.tar").is_intact
# Not `ru_maxrss`, which counts the memory of the process that forked this one.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.row("BUN-12")
@pytest.mark.nightly
def test_large_blobs_are_never_in_memory(tmp_path):
    """Written, read back and verified in less than 80 MiB; at night with 10 GiB."""
    command = [sys.executable, "-c", _MEASURE, str(tmp_path), str(effort(400, 10 << 10))]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert int(done.stdout) <= 80
