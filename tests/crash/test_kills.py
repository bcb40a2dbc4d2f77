"""Killed runs leave nothing half done, and the next run finishes the rest."""

from __future__ import annotations

import random
import signal

import pytest

from tests import figures
from tests.crash.harness import BLOBS_AT_ONCE, IMAGES_AT_ONCE, Scene, Step
from tests.support.effort import effort

_KILLS_IN_A_ROW = 7
# One after the other in one place, each still to come where the one before was killed.
_NAMED = (
    Step("arrives", of="GET .*/tags/list"),
    Step("told", of="POST .*/blobs/uploads/"),
    Step("answered", of="PUT .*/blobs/uploads/"),
    Step("told", of="GET .*/blobs/"),
    Step("answered", of="PUT .*/manifests/latest"),
    Step("answered", of="PUT .*/manifests/sha256:"),
    Step("answered", of="PUT .*/multi/manifests/sha256-"),
    Step("arrives", of="PUT .*/multi/manifests/1$"),
    Step("answered", of="PUT .*/manifests/1$"),
    Step("told", of="PUT .*/manifests/1$"),
)


def kill_at(scene: Scene, step: Step) -> bool:
    """Kill a run at a step; return whether it was still running."""
    scene.settle()
    ran = scene.start(at=step).end()
    scene.hear(ran)
    scene.check()
    assert ran.code in {0, -signal.SIGKILL}, ran.stderr
    return ran.code != 0


def resent_bytes(scene: Scene, kills: int) -> int:
    """Return the bytes sent again, at most those in flight."""
    bound = kills * IMAGES_AT_ONCE * BLOBS_AT_ONCE * len(scene.world.targets) * scene.world.largest_blob_bytes
    more = scene.resent_bytes()
    assert more <= bound, f"{more} bytes were sent again after {kills} kills"
    return more


@pytest.mark.row("ST-14")
@pytest.mark.nightly
def test_killed_at_random_instants(world, new_scene):
    """Again and again: the laws hold, and in the end everything is there."""
    chooser = random.Random("SIGKILL")
    wanted, done, resent = effort(12, 520), 0, 0
    while done < wanted:
        scene, here = new_scene(remembered=chooser.random() < 0.5), 0
        for _ in range(_KILLS_IN_A_ROW):
            here += kill_at(scene, Step("after", chooser.randint(1, world.requests * 2 // 3), delay=chooser.uniform(0, 0.03)))
        scene.converge()
        resent += resent_bytes(scene, here)
        done += here
    figures.record(
        "SIGKILLs at random instants",
        done,
        note="during a copy; after each, every digest at the destinations is recomputed and the state is opened and compared",
    )
    figures.record("bytes sent again after a SIGKILL, mean", round(resent / done), unit="bytes", note="of blobs in transfer; no completed blob is sent again")


@pytest.mark.row("ST-14")
@pytest.mark.nightly
@pytest.mark.parametrize("remembered", [True, False], ids=["with a state", "without"])
def test_killed_at_named_steps(remembered, new_scene):
    """Before, during and after the registry's handling of each kind of request."""
    scene = new_scene(remembered=remembered)
    kills = sum(kill_at(scene, step) for step in _NAMED[not remembered :: effort(2, 1)])
    # How far a run got beside what it was killed at differs from time to time: the last may have nothing left to come to.
    assert kills >= effort(2, 4)
    scene.converge()
    resent_bytes(scene, kills)


@pytest.mark.only_nightly
def test_killed_at_every_request(world, new_scene):
    """The same for every request of a copy."""
    done = 0
    for number in range(1, world.requests + 1):
        for when in ("arrives", "answered", "told"):
            scene = new_scene(remembered=number % 2 == 0)
            kills = kill_at(scene, Step(when, number))
            scene.converge()
            resent_bytes(scene, kills)
            done += kills
    figures.record("SIGKILLs at every request", done, note=f"before, at and after the answer of each of the {world.requests} requests of a copy")
