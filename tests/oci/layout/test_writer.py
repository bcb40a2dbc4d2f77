"""Layouts are whole at every moment, whoever writes and whenever it is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from imgsync.oci.layout.directory import LayoutFolder
from tests.oci.layout.stores import opened, push, repository
from tests.support.effort import NIGHTLY, effort
from tests.support.images import artifact, digest_of, image, index, shared_base_images
from tests.support.layouts import CONTAINERD_NAME, REF_NAME, LayoutOnDisk
from tests.support.patched import run_patched
from tests.support.run_imgsync import eventually

_CALLS = ("mkdir", "writev", "write", "fsync", "replace", "unlink", "open")
_FAILED = 9


def fork(work: Callable[[], None]) -> int:
    """Run *work* in a process of its own; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:  # noqa: BLE001 - shown by the test
        traceback.print_exc()
        os._exit(_FAILED)
    os._exit(0)


def wait_for(pid: int) -> int:
    """Return the exit code of a process, or the negative signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_at(number: int) -> None:
    """End this process right before its call of that number that changes files."""
    count = 0

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **options: object) -> object:
            nonlocal count
            if call is not originals["open"] or arguments[1] & os.O_CREAT:  # type: ignore[operator]
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return run

    originals = {name: getattr(os, name) for name in _CALLS}
    for name, call in originals.items():
        setattr(os, name, counted(call))


FIRST, SECOND, PRUNED, KEPT = *shared_base_images(2), image("pruned"), index("kept")
SIGNATURE = artifact("signature", subject=FIRST)


def run_once(folder: Path) -> None:
    """Do what one run does: push images and a referrer, and delete a tag with all that it used."""
    with opened(folder) as store:
        push(store, "a:1", FIRST)
        push(store, "a", SIGNATURE)
        push(store, "b:2", SECOND)
        if "old" in {tag for tag, _, _ in store.iter_tags("a")}:
            store.delete_tag(repository("a").with_tag("old"))


def assert_valid(layout: LayoutOnDisk) -> None:
    """Assert that each image that the index names is there as a whole, and what nobody deleted is."""
    known = {one.digest: one for one in (FIRST, SECOND, PRUNED, KEPT, SIGNATURE)}
    names = layout.names
    for name, digest in names.items():
        layout.assert_holds(name, known[digest])
    assert names["kept:1"] == KEPT.digest
    assert layout.blobs >= {*KEPT.all_blobs, *KEPT.manifests}


@pytest.mark.row("LAY-07")
@pytest.mark.nightly
def test_killed_run_leaves_a_valid_layout_and_the_next_completes(tmp_path):
    """Before each call that changes a file; nothing of a killed run stays for ever."""
    layout = LayoutOnDisk(tmp_path / "layout")
    numbers = range(1, 400) if NIGHTLY else sorted(random.Random(21).sample(range(1, 130), 40))
    for number in numbers:
        subprocess.run(["rm", "-rf", layout.folder], check=True)
        with opened(layout.folder) as store:
            push(store, "kept:1", KEPT)
            push(store, "a:old", PRUNED)

        def work(number: int = number) -> None:
            kill_at(number)
            run_once(layout.folder)

        code = wait_for(fork(work))
        assert code in {0, -signal.SIGKILL}
        assert_valid(layout)
        assert wait_for(fork(lambda: run_once(layout.folder))) == 0

        assert_valid(layout)
        assert set(layout.names) == {"kept:1", "a:1", "b:2"}
        assert layout.blobs == {digest for one in (FIRST, SECOND, KEPT, SIGNATURE) for digest in (*one.all_blobs, *one.manifests)}
        assert sorted(file.name for file in (layout.folder / ".imgsync").iterdir()) == ["index", "writers"]
        if code == 0:
            break
    else:
        assert not NIGHTLY, "there are more calls than were tried"


@pytest.mark.row("LAY-07")
def test_killed_first_run_leaves_what_the_next_one_takes(tmp_path):
    """Also while the folder becomes a layout."""
    layout = LayoutOnDisk(tmp_path / "layout")
    for number in range(1, effort(25, 200)):

        def work(number: int = number) -> None:
            kill_at(number)
            run_once_new(layout.folder)

        wait_for(fork(work))
        run_once_new(layout.folder)

        layout.assert_holds("a:1", FIRST)
        subprocess.run(["rm", "-rf", layout.folder], check=True)


def run_once_new(folder: Path) -> None:
    """Push one image into a layout that may not be there yet."""
    with opened(folder) as store:
        push(store, "a:1", FIRST)


@pytest.mark.row("LAY-08")
def test_two_writers_lose_nothing_of_each_other(tmp_path):
    """Different tags and the same ones, with shared blobs."""
    layout = LayoutOnDisk(tmp_path / "layout")
    count = effort(25, 200)

    def write(writer: int) -> None:
        with opened(layout.folder) as store:
            for number in range(count):
                push(store, f"w{writer}/app:{number}", image(number % 5))
                push(store, f"shared:{number}", image(number % 5))

    codes = [wait_for(pid) for pid in [fork(lambda writer=writer: write(writer)) for writer in range(3)]]

    assert codes == [0, 0, 0]
    expected = {f"w{writer}/app:{number}": image(number % 5).digest for writer in range(3) for number in range(count)}
    assert layout.names == expected | {f"shared:{number}": image(number % 5).digest for number in range(count)}


@pytest.mark.row("LAY-08")
def test_writer_deletes_nothing_that_another_is_using(tmp_path):
    """One prunes again and again what the other pushes."""
    layout = LayoutOnDisk(tmp_path / "layout")
    with opened(layout.folder) as store:
        push(store, "a:1", image(1))

    def prune() -> None:
        for _ in range(effort(20, 200)):
            with opened(layout.folder) as store:
                push(store, "a:1", image(1))
            with opened(layout.folder) as store:
                store.delete_tag(repository("a").with_tag("1"))

    def push_all() -> None:
        for number in range(effort(20, 200)):
            with opened(layout.folder) as store:
                push(store, f"b:{number}", image(1))

    assert [wait_for(pid) for pid in (fork(prune), fork(push_all))] == [0, 0]

    for number in range(effort(20, 200)):
        layout.assert_holds(f"b:{number}", image(1))


@pytest.mark.row("LAY-08")
def test_skopeo_beside_us_takes_nothing_from_us(tmp_path):
    """It knows no lock and overwrites the index; what it drops of ours is written again."""
    layout = LayoutOnDisk(tmp_path / "layout")
    with opened(layout.folder) as store:
        push(store, "a:first", image("first"))
    count = effort(12, 100)

    def copy_with_skopeo() -> None:
        for number in range(count):
            command = ["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout.folder}:a:first", f"oci:{layout.folder}:skopeo/app:{number}"]
            subprocess.run(command, check=True, timeout=60)

    pid = fork(copy_with_skopeo)
    number = 0
    with opened(layout.folder) as store:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            push(store, f"ours:{number}", image(number % 7))
            number += 1
        push(store, f"ours:{number}", image(number % 7))

    named = {entry["annotations"].get(CONTAINERD_NAME) or entry["annotations"][REF_NAME]: entry["digest"] for entry in layout.entries}
    assert {name: digest for name, digest in named.items() if name.startswith("ours:")} == {f"ours:{one}": image(one % 7).digest for one in range(number + 1)}
    # Without a lock, an entry that it writes in the very instant of ours may be lost.
    lost = {f"skopeo/app:{one}" for one in range(count)} - named.keys()
    assert len(lost) <= count // 3


def test_many_tags_share_few_writes_of_the_index(tmp_path):
    """Each push returns only once its own tag is on disk."""
    found = run_patched(
        """
        import gevent
        from pathlib import Path
        from imgsync.concurrency.native_thread import NativeThread
        from imgsync.oci.layout.writer import LayoutWriter
        from tests.oci.layout.stores import opened, push
        from tests.support.images import image
        from tests.support.layouts import LayoutOnDisk

        folder, writes, replace = Path(sys.argv[1]), [], LayoutWriter._replace_index
        LayoutWriter._replace_index = lambda self, *given: writes.append(1) or replace(self, *given)
        threads = NativeThread(4)

        def push_one(number):
            push(store, f"app:{number}", content)
            return f"app:{number}" in LayoutOnDisk(folder).names

        with opened(folder, run_blocking=threads.run) as store:
            content = push(store, "app:first", image(1))
            pool = gevent.pool.Pool(64)
            on_disk = all(pool.map(push_one, range(640)))
        threads.close()
        print(json.dumps({"on_disk": on_disk, "writes": len(writes), "names": len(LayoutOnDisk(folder).names)}))
        """,
        tmp_path / "layout",
    )

    assert found["on_disk"]
    assert found["names"] == 641
    assert found["writes"] < 120


def test_many_callers_read_a_long_index_once(tmp_path, monkeypatch):
    """Reading it pauses, in which others need it too."""
    with opened(tmp_path / "usb") as store:
        push(store, "app:1", image(1))
    reads: list[str] = []
    read_index = LayoutFolder.read_index

    def read_slowly(files: LayoutFolder) -> bytes:
        reads.append(files.path)
        eventually(lambda: len(waiting) == 4)
        return read_index(files)

    monkeypatch.setattr(LayoutFolder, "read_index", read_slowly)
    waiting: list[int] = []
    found: list[object] = []

    def resolve() -> None:
        waiting.append(1)
        found.append(store.resolve(repository("app").with_tag("1")))

    with opened(tmp_path / "usb") as store:
        callers = [threading.Thread(target=resolve) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(10)

    assert len(reads) == 1
    assert [one.digest for one in found] == [image(1).digest] * 4


def test_index_of_others_keeps_what_they_wrote(tmp_path):
    """Unknown keys, and entries that imgsync cannot name."""
    layout = LayoutOnDisk(tmp_path / "layout").make()
    layout.add(image(1), annotations={REF_NAME: "localhost:5000/x:1", "own": "value"}, platform={"os": "linux", "architecture": "amd64"})
    layout.add(image(2))
    before = layout.entries

    with opened(layout.folder) as store:
        push(store, "a:1", image(3))

    assert layout.entries[:2] == before
    assert layout.entries[2]["digest"] == image(3).digest


def test_wrong_size_of_a_blob_is_not_what_the_manifest_says(tmp_path):
    """A shorter file that another tool left is sent again."""
    layout = LayoutOnDisk(tmp_path / "layout").make()
    layout.blob(digest_of(b"content")).write_bytes(b"con")

    with opened(layout.folder) as store:
        push(store, "a:1", image(1, contents=[b"content"]))

    layout.assert_holds("a:1", image(1, contents=[b"content"]))
