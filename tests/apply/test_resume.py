"""Runs with a time limit end in time, say what is left, and are resumed."""

from __future__ import annotations

import signal
import time

import pytest

from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
from tests.support.images import image, request
from tests.support.run_imgsync import finish
from tests.switches import Distance, Hold, trickle

ONE_AT_A_TIME = "concurrency: {images: 1, blobs: 1}"
# With a brake all is planned before the first image is begun, which is then the first by name.
IN_ORDER = ("--max-changes", "100")


@pytest.fixture
def state(workplace):
    """Open the state of the workplace, between runs."""
    return lambda: open_state(str(workplace.folder / ".imgsync" / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=print)


@pytest.fixture
def stop_at(lab):
    """Run an apply, stop it at *held*, then release *held*."""

    def stop(held, *arguments):
        process = lab.start("apply", "-o", "json", *arguments)
        held.reached()
        process.send_signal(signal.SIGTERM)
        for line in process.stderr:
            if "run.stopping" in line:
                break
        held.release()
        return finish(process)

    return stop


@pytest.fixture
def pushed(lab):
    """Return the tags in the order in which the destination got them."""
    return lambda: [path.rpartition("/")[2] for path in lab.destination.requests("PUT .*/manifests/[0-9a-z]+$")]


def left_of(state):
    with state() as store:
        return [destination.rpartition("/")[2] for destination in store.remaining]


def test_run_ends_in_time_though_a_registry_hangs(lab, state):
    """A hanging copy is cancelled in time: exit 75, report and state list what remains."""
    for tag in "123":
        lab.push("app", tag, image(f"hang {tag}"))
    lab.declare("app", ONE_AT_A_TIME)
    lab.source.add(Hold(), method="GET", target="/blobs/", nth=4)

    ran = lab.run("apply", "-o", "json", "--run-timeout", "10s", *IN_ORDER)
    took = (time.monotonic_ns() - lab.source.seen[0].began) / 1e9

    assert ran.code == 75, ran.stderr
    assert took < 10
    assert [(one["source"][-1], one["result"]) for one in ran.json["outcomes"]] == [("1", "copied"), ("2", "remaining"), ("3", "remaining")]
    assert ran.json["summary"] == ran.json["summary"] | {"copied": 1, "remaining": 2, "failed": 0}
    assert left_of(state) == ["app:2", "app:3"]


def test_hanging_plan_ends_in_time(lab, state):
    """Exit 75; leftovers stay leftovers, and nothing counts as done."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    with state() as store:
        store.record_run_end(remaining=["waiting/app:1"], successes=[], requeues=0, moment="")
    lab.source.add(Hold(), target="/tags/list")

    ran = lab.run("apply", "-o", "json", "--run-timeout", "2s")
    took = (time.monotonic_ns() - lab.source.seen[0].began) / 1e9

    assert ran.code == 75, ran.stderr
    assert took < 3
    assert [error["mirror"] for error in ran.json["errors"]] == ["a"]
    assert "the run's time is up" in ran.json["errors"][0]["message"]
    with state() as store:
        assert (store.remaining, dict(store.last_successes)) == (("waiting/app:1",), {})


def test_signal_during_hanging_plan_exits_75(lab, state):
    """A stop before anything is known exits with 75, not 0."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    held = Hold()
    lab.source.add(held, target="/tags/list")
    process = lab.start("apply", "-o", "json", "--grace", "0s")
    held.reached()
    process.send_signal(signal.SIGTERM)

    ran = finish(process)

    assert ran.code == 75, ran.stderr
    assert ran.json["errors"]
    with state() as store:
        assert dict(store.last_successes) == {}


def test_leftovers_come_first_in_every_run(lab, stop_at, state, pushed):
    """Leftovers keep their order, even before new tags; in the end nothing is left."""
    for tag in "5678":
        lab.push("app", tag, image(f"turn {tag}"))
    lab.declare("app", ONE_AT_A_TIME)
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/", nth=1)
    assert stop_at(held, *IN_ORDER).code == 75
    assert left_of(state) == ["app:6", "app:7", "app:8"]
    for tag in "12":
        lab.push("app", tag, image(f"turn {tag}"))
    lab.source.clear()
    held = Hold()
    lab.source.add(held, method="GET", target="/blobs/", nth=1)
    assert stop_at(held).json["summary"]["copied"] == 1
    assert left_of(state) == ["app:7", "app:8", "app:1", "app:2"]

    assert lab.run("apply").code == 0

    assert pushed() == ["5", "6", "7", "8", "1", "2"]
    assert left_of(state) == []


def test_run_cut_three_times_sends_no_blob_twice(lab, stop_at):
    """Finished blobs of a cancelled image are not sent again; in the end all is copied."""
    content = lab.push("app", "1", image("cut", layers=4))
    lab.declare("app", ONE_AT_A_TIME)
    for _ in range(3):
        lab.source.clear()
        held = Hold()
        lab.source.add(held, method="GET", target="/blobs/", nth=2)
        cut = stop_at(held, "--grace", "0s")
        assert cut.code == 75, cut.stderr
        assert cut.json["summary"] == cut.json["summary"] | {"copied": 0, "remaining": 1, "blobs_copied": 1}
    lab.source.clear()

    assert lab.run("apply").code == 0

    arrived = [one for one in lab.destination.recorded("PUT .*/blobs/uploads/") if one.status == 201]
    assert sorted(one.bytes_up for one in arrived) == sorted(map(len, content.all_blobs.values()))
    assert lab.served_digest("app", "1") == content.digest


def test_leftovers_of_other_mirrors_stay(lab, state):
    """A run with `--only`, or `copy`, clears only its own leftovers."""
    for mirror in "ab":
        lab.push(mirror, "1", image(mirror))
        lab.write(
            f"mirrors.d/{mirror}.yaml",
            f"version: 1\nmirrors: [{{name: {mirror}, source: {lab.source.host}/{lab.name}/{mirror}, destinations: ['{lab.destination.host}/m']}}]\n",
        )
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false}}\n")
    left = [f"{lab.destination.host}/m/{lab.name}/{mirror}:1" for mirror in "ba"]
    with state() as store:
        store.record_run_end(remaining=left, successes=[], requeues=0, moment="")

    assert lab.run("copy", f"{lab.source.host}/{lab.name}/a:1", f"{lab.destination.host}/other/{lab.name}:1").code == 0
    assert left_of(state) == ["b:1", "a:1"]
    assert lab.run("apply", "--only", "b").code == 0
    assert left_of(state) == ["a:1"]
    assert lab.run("apply").code == 0
    assert left_of(state) == []


def test_time_limit_of_one_mirror_stops_no_other(lab):
    """After `timeouts.run` that mirror's images remain; other mirrors are copied."""
    lab.push("late", "1", image("late"))
    lab.push("long", "1", image("long", layers=1, layer_bytes=200_000))
    lab.push("free", "1", image("free"))
    mirrors = "".join(
        f"  - {{name: {mirror}, source: {lab.source.host}/{lab.name}/{mirror}, destinations: ['{lab.destination.host}/m'], timeouts: {timeouts}}}\n"
        for mirror, timeouts in (("late", "{run: 2s}"), ("long", "{run: 4s}"), ("free", "{}"))
    )
    lab.write("mirrors.d/a.yaml", f"version: 1\nmirrors:\n{mirrors}")
    lab.write("registries.yaml", f"version: 1\nregistries:\n  {lab.source.host}: {{tls: false}}\n  {lab.destination.host}: {{tls: false}}\n")
    lab.source.add(Distance(0.7), target=f"{lab.name}/late/tags/list")
    lab.source.add(trickle(1000, seconds=0.05), method="GET", target=f"{lab.name}/long/blobs/")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 75, ran.stderr
    assert {one["mirror"]: one["result"] for one in ran.json["outcomes"]} == {"late": "remaining", "long": "remaining", "free": "copied"}
    assert lab.source.requests(f"{lab.name}/late/blobs/") == []
    assert lab.served_tags("free") == ["1"]
    assert lab.served_tags("long") == []
    lab.source.clear()
    assert lab.run("apply", "--run-timeout", "1m").code == 0
    assert lab.served_tags("long") == ["1"]


def test_image_that_would_not_fit_is_not_begun(lab):
    """An image that would be cut at the current rate waits; one that fits is copied instead."""
    for tag, size in (("1", 100_000), ("2", 200_000), ("3", 4_000)):
        lab.push("app", tag, image(f"pace {tag}", layers=1, layer_bytes=size))
    lab.declare("app", ONE_AT_A_TIME)
    # Few long pauses, which load does not make much longer: the first has to take from a third to half of the time.
    lab.source.add(trickle(10_000, seconds=0.285), method="GET", target="/blobs/")

    ran = lab.run("apply", "-o", "json", "--run-timeout", "12s", "--grace", "0s", *IN_ORDER)

    assert ran.code == 75, ran.stderr
    assert [(one["source"][-1], one["result"]) for one in ran.json["outcomes"]] == [("1", "copied"), ("2", "remaining"), ("3", "copied")]
    assert len(lab.source.requests("GET .*/blobs/")) == 4, "a config and a layer of each of the two"
    assert "does not fit" in ran.json["stopped"]


def test_slow_planning_does_not_use_up_every_run(lab, state):
    """Known changes start after half of the time, even if leftovers are still unknown."""
    lab.push("app", "3", image("slow 3"))
    lab.declare("app")
    assert lab.run("apply").code == 0
    for tag in "12":
        lab.push("app", tag, image(f"slow {tag}"))
    with state() as store:
        store.record_run_end(remaining=[f"{lab.destination.host}/m/{lab.name}/app:3"], successes=[], requeues=0, moment="")
    # Of what is remembered only the digest is asked for: a first pull that hung would hold up all others.
    lab.source.add(Hold(), target="/manifests/3")

    ran = lab.run("apply", "-o", "json", "--run-timeout", "4s", "--grace", "0s")

    assert ran.code == 75, ran.stderr
    assert ran.json["summary"]["copied"] == 2
    assert left_of(state) == ["app:3"]


def test_cancelled_plan_lists_what_it_knew(lab, state):
    """With a safety limit nothing starts before the plan is complete; known changes are recorded as left."""
    for tag in range(10):
        lab.push("app", str(tag), image("same for all"))
    lab.declare("app", "concurrency: {queries: 1}")
    lab.source.add(Distance(0.4), target="/manifests/[0-9]")

    ran = lab.run("apply", "-o", "json", "--run-timeout", "4s", "--max-changes", "100")

    assert ran.code == 75, ran.stderr
    assert 0 < ran.json["summary"]["remaining"] < 10
    assert [error["mirror"] for error in ran.json["errors"]] == ["a"]
    assert len(left_of(state)) == ran.json["summary"]["remaining"]


def test_run_without_time_starts_nothing(lab):
    """The destination gets no request, exit 75; the next run copies."""
    lab.push("app", "1", image(1))
    lab.declare("app")

    ran = lab.run("apply", "-o", "json", "--run-timeout", "0s", "--grace", "0s")

    assert ran.code == 75
    assert ran.json["summary"]["remaining"] == 1, "what is left is found out all the same"
    assert request(lab.destination, "GET", f"/v2/m/{lab.name}/app/tags/list")[0] == 404
    assert lab.run("apply").code == 0


def test_saved_part_of_a_mirror_forgets_nothing(lab, state):
    """What `plan --only` did not select stays left, as if it had been applied at once."""
    for tag in "12":
        lab.push("app", tag, image(f"part {tag}"))
    lab.declare("app")
    with state() as store:
        store.record_run_end(remaining=[f"{lab.destination.host}/m/{lab.name}/app:{tag}" for tag in "21"], successes=[], requeues=0, moment="")
    lab.run("plan", "--only", "a:1", "--out", "plan.json")

    ran = lab.run("apply", "--plan", "plan.json")

    assert ran.code == 0, ran.stderr
    assert lab.served_tags("app") == ["1"]
    assert left_of(state) == ["app:2"]
