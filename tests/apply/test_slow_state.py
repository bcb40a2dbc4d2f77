"""A state on a slow disk: what begins while it is written is begun once."""

from __future__ import annotations

from collections import Counter

from tests.support.images import image, layer
from tests.support.run_imgsync import eventually, finish
from tests.switches import Distance, Hold

_SLOW_BEGINNING = """
import gevent
from imgsync.apply.state_writer import StateWriter

def slow(self, delays=[0.5], begin=StateWriter.begin_copies):
    # Of two, only the first writes.
    gevent.sleep(delays.pop() if delays else 0)
    begin(self)

StateWriter.begin_copies = slow
"""

_MARKING_UNTIL_GO = """
from pathlib import Path
import gevent
from imgsync.apply.state_writer import StateWriter

def slow(self, changes, mark=StateWriter.mark_unconfirmed):
    changes = list(changes)
    while changes and not Path("go").exists():
        Path("marking").touch()
        gevent.sleep(0.005)
    mark(self, changes)

StateWriter.mark_unconfirmed = slow
"""


def test_mirrors_that_begin_together_share_blobs(lab):
    """A layer of two mirrors is sent once, however long it takes to note that copies begin."""
    shared = layer("base of both", 20_000)
    for name in "ab":
        lab.push(name, "1", image(name, layers=1, shared=shared))
        source, destinations = f"{lab.source.host}/{lab.name}/{name}", [f"{lab.destination.host}/m"]
        lab.workplace.mirror(name, source=source, destinations=destinations, referrers=False)
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    # Longer than the writing: the first image has no record yet when the second begins.
    lab.destination.add(Distance(1.0), method="PUT", target="/manifests/")

    ran = finish(lab.workplace.start_with(_SLOW_BEGINNING, "apply", "-o", "json"))

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["blobs_mounted"] == 1
    assert len(lab.destination.recorded("PUT .*/blobs/uploads/")) == 5, "two configs, two layers, and the shared one"


def test_release_at_half_time_submits_no_image_twice(lab, state):
    """What the time limit began is left out by the plan that is finished meanwhile."""
    lab.push("app", "3", image("half 3"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    for tag in "12":
        lab.push("app", tag, image(f"half {tag}"))
    with state() as store:
        store.record_run_end(remaining=[f"{lab.destination.host}/m/{lab.name}/app:3"], successes=[], requeues=0, moment="")
    held = lab.source.add(Hold(), target="/manifests/3")
    process = lab.workplace.start_with(_MARKING_UNTIL_GO, "apply", "-o", "json", "--run-timeout", "10s", "--grace", "0s")
    eventually((lab.folder / "marking").exists)
    held.release()
    for line in process.stderr:
        if "plan.built" in line:
            break
    (lab.folder / "go").touch()

    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (2, 1)
    pushed = Counter(lab.destination.requests("PUT .*/manifests/[12]"))
    assert sorted(pushed.values()) == [1, 1]
