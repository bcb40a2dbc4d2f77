"""Signals: the first stops gracefully, the second ends the program at once."""

from __future__ import annotations

import signal
import time

import pytest

from tests import switches
from tests.support.images import image
from tests.support.run_imgsync import eventually, finish, stopping
from tests.switches import Hold


@pytest.mark.row("GIT-08")
def test_cancelled_ci_job_stops_gracefully(lab, origin):
    """Within the grace period: exit 75 and a report; the next run does the rest."""
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/")
    process = lab.start("apply", "-o", "json", "--grace", "1s")
    held.reached()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)

    stopped = finish(process)

    assert time.monotonic() - began < 7.5, "GitHub's patience"
    assert stopped.code == 75, stopped.stderr
    assert stopped.json["summary"]["remaining"] + stopped.json["summary"]["failed"] == 2
    assert stopped.events("run.stopping")
    assert lab.served_tags("app") == []
    lab.source.clear()
    assert lab.run("apply", "-o", "json").json["summary"]["copied"] == 2


@pytest.fixture
def streaming(lab):
    """Start eight slow downloads; return a function that awaits their beginning."""
    for number in range(8):
        lab.push("app", str(number), image((lab.name, number), layers=1, layer_bytes=200_000))
    lab.declare("app", "concurrency: {images: 8}\nreferrers: false")
    lab.source.add(switches.trickle(500, seconds=0.05), method="GET", target="/blobs/")
    return lambda: eventually(lambda: len(lab.source.recorded("GET .*/blobs/")) >= 8)


@pytest.mark.row("RUN-08", "RUN-09")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signal_under_load_ends_the_run_within_its_grace(number, streaming, lab, state):
    """Nothing new starts, everything is reported and recorded (exit 75); a second run finishes."""
    process = lab.start("apply", "-o", "json", "--grace", "1s")
    streaming()
    process.send_signal(number)
    stopping(process)
    began = time.monotonic()
    ran = finish(process)
    took = time.monotonic() - began

    assert ran.code == 75, ran.stderr
    assert took < 6
    assert "Traceback" not in ran.stderr
    assert "KeyboardInterrupt" not in ran.stderr
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 0, "failed": 0, "remaining": 8}
    assert lab.served_tags("app") == []
    with state() as store:
        assert len(store.remaining) == 8
    lab.source.clear()
    assert lab.run("apply").code == 0
    assert len(lab.served_tags("app")) == 8


@pytest.mark.row("RUN-09", "RUN-10")
def test_second_signal_under_load_ends_at_once_and_leaves_nothing_behind(streaming, lab, state):
    """Exit 130; no lock and no half-written file is left; a second run finishes."""
    process = lab.start("apply", "-o", "json", "--grace", "10m", "--report", "report.html")
    streaming()
    process.send_signal(signal.SIGINT)
    stopping(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert (out, "Traceback" in err) == ("", False)
    assert sorted(path.name for path in lab.folder.iterdir()) == [".imgsync", "mirrors.d", "registries.yaml"]
    with state() as store:
        assert list(store.iter_records()) == []
    lab.source.clear()
    assert lab.run("apply").code == 0
    assert len(lab.served_tags("app")) == 8
