"""What writes into a layout: the fence, files that are being written, and shared writes."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from imgsync.config.model import LayoutSettings, RegistriesConfig
from imgsync.errors import LayoutError, StoppedError, UnreachableError
from imgsync.oci.layout.group_commit import GroupCommit
from imgsync.oci.layout.run_journal import delete_journals, read_abandoned
from imgsync.oci.layout.staged_file import StagedFile, delete_abandoned
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import parse_manifest
from imgsync.oci.spec.reference import Repository
from imgsync.registries.layouts import Layouts
from tests.oci.layout.stores import opened
from tests.oci.layout.stores import push as push_image
from tests.support.images import digest_of, image
from tests.support.layouts import LayoutOnDisk
from tests.support.run_imgsync import eventually

CONTENT = image(1)


class Fence:
    """A fence that notes whether the index was locked, and raises once `is_lost`."""

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self.asked = 0
        self.asked_under_lock = 0
        self.is_lost = False
        self.is_closed = False

    def __call__(self) -> None:
        self.asked += 1
        if self.is_closed:
            raise StoppedError("the lease is lost")
        with self._lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.asked_under_lock += 1
                if self.is_lost:
                    raise StoppedError("the lease is lost") from None


@pytest.fixture
def fenced(tmp_path) -> Iterator[tuple[Fence, object, Repository]]:
    """Return a fence, a store behind it, and a repository with the blobs of `CONTENT`."""
    (tmp_path / "usb/.imgsync").mkdir(parents=True)
    (tmp_path / "usb/.imgsync/index").touch()
    fence = Fence(tmp_path / "usb/.imgsync/index")
    layouts = Layouts(RegistriesConfig(layouts={"usb": LayoutSettings(str(tmp_path / "usb"))}), on_warning=pytest.fail)
    store = layouts.make_store("oci-layout:usb", "destination", RetryPolicy(attempts=1), check_write=fence)
    repository = Repository("oci-layout:usb", "app")
    for digest, blob in CONTENT.all_blobs.items():
        upload = store.begin_upload(repository, Descriptor("application/octet-stream", digest, len(blob)), mount_from="")
        assert upload is not None
        upload.put([blob])
    yield fence, store, repository
    layouts.close()


def push(store, repository: Repository) -> None:
    store.push_manifest(repository.with_tag("1"), parse_manifest(CONTENT.raw, content_type=CONTENT.media_type))


def test_fence_is_asked_right_before_the_index_is_replaced(fenced):
    """The lock may have taken minutes, in which the lease was lost."""
    fence, store, repository = fenced
    asked = fence.asked_under_lock
    push(store, repository)
    assert fence.asked_under_lock == asked + 1
    fence.is_lost = True

    with pytest.raises(StoppedError):
        store.delete_tag(repository.with_tag("1"))

    assert store.resolve(repository.with_tag("1")).digest == CONTENT.digest


def test_run_that_lost_its_lease_tidies_nothing_up(fenced, tmp_path):
    """Its blobs stay until the next run."""
    fence, store, repository = fenced
    push(store, repository)
    store.delete_tag(repository.with_tag("1"))
    asked = fence.asked_under_lock
    blobs = {*(tmp_path / "usb/blobs/sha256").iterdir()}
    told: list[str] = []
    store._layout._on_warning = told.append
    fence.is_closed = True

    store._layout.close()

    assert {*(tmp_path / "usb/blobs/sha256").iterdir()} == blobs
    assert fence.asked_under_lock == asked
    assert "the lease is lost" in told[0]


def test_each_write_asks_the_fence_once(fenced):
    """A blob, and the manifest with the index."""
    fence, store, repository = fenced
    asked = fence.asked
    blob = b"one more"

    upload = store.begin_upload(repository, Descriptor("application/octet-stream", digest_of(blob), len(blob)), mount_from="")
    upload.put([blob])
    assert fence.asked == asked + 1
    push(store, repository)
    assert fence.asked == asked + 3
    store.delete_tag(repository.with_tag("1"))
    assert fence.asked == asked + 4


@pytest.mark.row("LEASE-01")
def test_run_that_lost_its_lease_writes_nothing(fenced, tmp_path):
    """Neither a blob, nor a manifest, nor the index."""
    fence, store, repository = fenced
    blob = b"one more"
    upload = store.begin_upload(repository, Descriptor("application/octet-stream", digest_of(blob), len(blob)), mount_from="")
    before = LayoutOnDisk(tmp_path / "usb")
    entries, blobs = before.entries, {*(tmp_path / "usb/blobs/sha256").iterdir()}
    fence.is_closed = True

    with pytest.raises(StoppedError):
        upload.put([blob])
    with pytest.raises(StoppedError):
        push(store, repository)
    assert {*(tmp_path / "usb/blobs/sha256").iterdir()} == blobs
    assert LayoutOnDisk(tmp_path / "usb").entries == entries == []
    assert not [*(tmp_path / "usb/.imgsync").glob("new-*")]


def test_upload_ends_at_the_piece_before_which_the_lease_is_lost(fenced, tmp_path):
    """Its temporary file is deleted."""
    fence, store, repository = fenced
    blob = bytes(3 << 20)

    def lose_lease() -> Iterator[bytes]:
        for start in range(0, len(blob), 1 << 20):
            yield blob[start : start + (1 << 20)]
            fence.is_closed = start > 0

    upload = store.begin_upload(repository, Descriptor("application/octet-stream", digest_of(blob), len(blob)), mount_from="")
    with pytest.raises(StoppedError):
        upload.put(lose_lease())
    assert not [*(tmp_path / "usb/.imgsync").glob("new-*")]
    assert digest_of(blob).partition(":")[2] not in {one.name for one in (tmp_path / "usb/blobs/sha256").iterdir()}


@pytest.mark.parametrize("is_replaced", [True, False])
def test_image_in_a_folder_that_was_exchanged_is_no_success(fenced, tmp_path, is_replaced):
    """Its writer has the old folder open, and would write where nobody looks."""
    _, store, repository = fenced
    (tmp_path / "usb").rename(tmp_path / "old")
    if is_replaced:
        (tmp_path / "usb").mkdir()

    with pytest.raises(UnreachableError) as caught:
        push(store, repository)

    assert "plugged in and mounted" in caught.value.hint
    assert LayoutOnDisk(tmp_path / "old").entries == []


def test_new_file_that_a_cleaner_has_locked_is_given_up(tmp_path, monkeypatch):
    """Another run takes the file for abandoned before its writer has the lock."""
    work = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    cleaner: list[int] = []
    flock = fcntl.flock

    def lock_late(file: int, how: int) -> None:
        if not cleaner:
            (file_name,) = tmp_path.iterdir()
            cleaner.append(os.open(file_name, os.O_RDONLY))
            flock(cleaner[0], fcntl.LOCK_EX)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_late)

    staged = StagedFile(work)
    staged.write([b"content"])
    staged.publish(work, "done")

    assert [*tmp_path.iterdir()] == [tmp_path / "done"]
    assert delete_abandoned(work, where="layout") == 0


def test_files_are_opened_to_be_written_before_they_are_locked(tmp_path, monkeypatch):
    """NFS refuses an exclusive lock otherwise, with EBADF."""
    flock = fcntl.flock

    def lock_as_nfs(file: int, how: int) -> None:
        if how & fcntl.LOCK_EX and fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", lock_as_nfs)
    folder = tmp_path / "layout"
    with opened(folder) as layout:
        push_image(layout, "a:1", CONTENT)
        push_image(layout, "a:2", image(2))
    (folder / ".imgsync/new-left").touch()

    with opened(folder) as layout:
        layout.delete_tag(Repository("oci-layout:usb", "a").with_tag("2"))

    assert sorted(file.name for file in (folder / ".imgsync").iterdir()) == ["index", "writers"]
    assert not (folder / "blobs" / image(2).digest.replace(":", "/")).exists()


def test_journals_of_a_hostile_layout_are_bounded(tmp_path, monkeypatch):
    """What is beyond the limit is left to later runs; what is no journal is passed over."""
    monkeypatch.setattr("imgsync.oci.layout.run_journal._LIMIT_BYTES", 3 * 72)
    lines = [f"{digest_of(str(number).encode())}\n" for number in range(4)]
    for name in ("stored-a", "stored-b"):
        (tmp_path / name).write_text("".join(lines[:2] if name == "stored-a" else lines[2:]))
    (tmp_path / "stored-folder").mkdir()
    (tmp_path / "stored-link").symlink_to("stored-a")
    os.mkfifo(tmp_path / "stored-pipe")
    work = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)

    found = []
    while journals := read_abandoned(work, where="layout"):
        found.append(sum(map(len, journals.values())))
        delete_journals(work, journals)

    assert found == [2, 2]


def test_lock_that_another_process_keeps_is_one_error(tmp_path, monkeypatch):
    """It is not the medium that is at fault, so nothing is said about its cable."""
    monkeypatch.setattr("imgsync.oci.layout.locks._WAIT_SECONDS", 0.05)
    (tmp_path / "layout/.imgsync").mkdir(parents=True)
    with (tmp_path / "layout/.imgsync/index").open("w") as file, opened(tmp_path / "layout") as layout:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(LayoutError, match=r"another process has held a lock in .*/layout/\.imgsync") as error:
            push_image(layout, "a:1", CONTENT)

    assert "wait until it ends" in error.value.hint


def test_interrupted_write_is_no_success_for_others():
    """A second SIGINT ends one caller; the other must not report a tag that is not there."""
    began = threading.Event()

    def write(items: Sequence[str]) -> None:
        if "slow" in items:
            began.set()
            eventually(lambda: len(commits._next.items) == 2)
            return
        raise KeyboardInterrupt

    commits: GroupCommit[str] = GroupCommit(write)
    results: list[BaseException | None] = []

    def add(item: str) -> None:
        began.wait()
        try:
            commits.add(item)
        except BaseException as error:  # noqa: BLE001 - compared below
            results.append(error)

    threads = [threading.Thread(target=add, args=(item,)) for item in ("one", "two")]
    for thread in threads:
        thread.start()
    commits.add("slow")
    for thread in threads:
        thread.join()

    assert sorted(type(result).__name__ for result in results) == ["InterruptedError", "KeyboardInterrupt"]
