"""A killed creation is continued, and reads hardly anything again."""

from __future__ import annotations

import random
import resource
import signal

import pytest

from tests import figures
from tests.support.effort import effort
from tests.support.images import image, layer
from tests.support.run_imgsync import finish
from tests.switches import status
from tests.switches.net import before_it_goes_on

IMAGES_AT_ONCE, BLOBS_AT_ONCE = 2, 2
CONNECTIONS = IMAGES_AT_ONCE * BLOBS_AT_ONCE
_CREATE = ("bundle", "create", "--volume-size", "1MiB", "--out")


def declare(lab):
    """Declare a mirror of ten images on one base, in three repositories."""
    for number in range(10):
        lab.push(f"app{number % 3}", f"{number}", image(("killed", number), shared=layer("base", 90_000), layer_bytes=70_000))
    settings = f"concurrency: {{images: {IMAGES_AT_ONCE}, blobs: {BLOBS_AT_ONCE}}}"
    lab.declare("app0 app1 app2", settings)


def read_folder(folder):
    """Return the content of each file of a bundle."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def count_blobs(lab):
    """Return how many blobs were read, and how many different ones."""
    read = [request.rpartition("/")[2] for request in lab.source.requests("GET .*/blobs/")]
    return len(read), len(set(read))


@pytest.mark.row("INV-11")
@pytest.mark.nightly
def test_killed_creation_is_continued(lab):
    """Killed at a random request: the same bytes, and at most one blob per connection read again."""
    declare(lab)
    assert lab.run(*_CREATE, "whole").code == 0
    expected, requests = read_folder(lab.folder / "whole"), len(lab.source.seen)
    chooser, again = random.Random("bundle create"), 0
    for number in range(kills := effort(3, 50)):
        lab.source.forget()
        process = lab.start(*_CREATE, f"out{number}")
        lab.source.add(before_it_goes_on(process.kill), nth=chooser.randint(1, requests - 1))
        assert finish(process).code == -signal.SIGKILL
        lab.source.clear()
        lab.source.settle()

        assert lab.run(*_CREATE, f"out{number}").code == 0

        assert read_folder(lab.folder / f"out{number}") == expected
        read, different = count_blobs(lab)
        assert read - different <= CONNECTIONS
        again += read - different
    figures.record("SIGKILLs while a bundle is created", kills, note="at random requests; the next run completes it, byte for byte the same")
    figures.record("blobs read again after such a SIGKILL, mean", again / kills, note=f"with {CONNECTIONS} connections")


def test_stopped_creation_is_continued(lab):
    """After a time limit: exit 75, nothing that looks finished, and the same command goes on."""
    declare(lab)
    assert lab.run(*_CREATE, "whole").code == 0
    lab.source.forget()
    process = lab.start(*_CREATE, "out")
    lab.source.add(before_it_goes_on(lambda: process.send_signal(signal.SIGINT)), target="/blobs/", nth=9)

    stopped = finish(process)

    assert stopped.code == 75
    assert "Run the same command again to continue" in stopped.stdout
    assert [path.name for path in (lab.folder / "out").iterdir()] == [".imgsync-bundle.partial"]
    assert lab.run(*_CREATE, "out").code == 0
    assert read_folder(lab.folder / "out") == read_folder(lab.folder / "whole")


@pytest.mark.row("INV-07")
def test_resumed_blobs_need_a_proof(lab):
    """What an interrupted run left counts only for a source that has it."""
    declare(lab)
    process = lab.start(*_CREATE, "out")
    lab.source.add(before_it_goes_on(process.kill), target="/blobs/", nth=12)
    assert finish(process).code == -signal.SIGKILL
    lab.source.clear()
    lab.source.settle()
    lab.source.forget()
    lab.source.add(status(404), method="HEAD", target="/blobs/")

    result = lab.run(*_CREATE, "out")

    assert result.code == 0
    # Without the proof, each blob is read from the source.
    assert count_blobs(lab)[1] == 10 * 3 + 1


def test_selection_may_change_between_runs(lab):
    """An interrupted bundle is continued although a tag was added: finished blobs are moved, not read again."""
    declare(lab)
    process = lab.start(*_CREATE, "out")
    lab.source.add(before_it_goes_on(process.kill), target="/blobs/", nth=20)
    assert finish(process).code == -signal.SIGKILL
    lab.source.clear()
    lab.source.settle()
    lab.push("app0", "00", image(("killed", "new"), shared=layer("base", 90_000), layer_bytes=70_000))

    assert lab.run(*_CREATE, "out").code == 0

    read, different = count_blobs(lab)
    assert read - different <= CONNECTIONS
    assert lab.run(*_CREATE, "whole").code == 0
    assert read_folder(lab.folder / "out") == read_folder(lab.folder / "whole")


def test_full_disk_ends_the_run(lab):
    """One clear error, no image is left out for it, and the next run goes on."""
    declare(lab)
    assert lab.run(*_CREATE, "whole").code == 0
    process = lab.start(*_CREATE, "out")
    # A limit of the size of files stands for a full disk.
    limit = (100_000, 100_000)
    lab.source.add(before_it_goes_on(lambda: resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limit)), target="/blobs/", nth=6)

    failed = finish(process)

    assert failed.code == 1
    assert failed.stderr.splitlines()[-2:] == ["error: the bundle cannot be written: File too large", "hint: run it again to continue"]
    lab.source.clear()
    assert lab.run(*_CREATE, "out").code == 0
    assert read_folder(lab.folder / "out") == read_folder(lab.folder / "whole")
