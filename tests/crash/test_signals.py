"""Signals at any step: stopped runs end gracefully, paused runs survive."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests import figures
from tests.crash.harness import Running, Scene, Step
from tests.support.effort import effort

_GRACE_SECONDS = 2
# What reading the report, writing the state and a machine at its limits may take on top of the grace.
_MARGIN_SECONDS = 15


@pytest.mark.nightly
def test_first_signal_at_any_step(world, new_scene):
    """Exit 75 with work left, 0 without; reports and state are complete; the next run finishes."""
    chooser = random.Random("SIGTERM")
    slowest = 0.0
    for number in range(effort(2, 120)):
        scene = new_scene(remembered=number % 2 == 0)
        asked: list[float] = []

        def ask(running: Running, scene: Scene = scene, number: int = number, asked: list[float] = asked) -> None:
            asked.append(time.monotonic())
            running.send(signal.SIGTERM if number % 3 else signal.SIGINT)

        step = Step(chooser.choice(["arrives", "answered", "told"]), chooser.randint(1, world.requests))
        running = scene.start("--grace", f"{_GRACE_SECONDS}s", "--report", "report.html", "--junit", "report.xml", at=step, act=ask)
        ran = running.end()
        took = time.monotonic() - asked[0] if asked else 0.0
        slowest = max(slowest, took)

        assert took < _GRACE_SECONDS + _MARGIN_SECONDS
        report = ran.json
        assert report["summary"]["failed"] == 0
        left = report["summary"]["remaining"] or report["errors"]
        assert ran.code == (75 if left else 0), ran.stderr
        assert (scene.folder / "report.html").read_text().rstrip().endswith("</html>")
        assert (scene.folder / "report.xml").read_text().rstrip().endswith("</testsuites>")
        scene.hear(ran)
        scene.check()
        records = scene.records()
        copied = [outcome for outcome in report["outcomes"] if outcome["result"] == "copied"]
        assert [outcome["digest"] for outcome in copied] == [records[outcome["destination"]].digest for outcome in copied]
        scene.converge()
    figures.record(
        "slowest end after a first signal",
        round(slowest, 2),
        unit="s",
        note=f"grace {_GRACE_SECONDS} s; signalled at random steps of a copy; report and state written",
    )


@pytest.mark.nightly
def test_second_signal_at_any_step(world, new_scene):
    """Exit 130 at once, and then as after a kill."""
    chooser = random.Random("SIGINT")
    for _ in range(effort(1, 60)):
        scene = new_scene(remembered=False)

        def cut(running: Running) -> None:
            running.send(signal.SIGINT)
            running.send(signal.SIGTERM)

        ran = scene.start(at=Step("arrives", chooser.randint(1, world.requests // 2)), act=cut).end()
        scene.hear(ran)
        assert ran.code == 130, ran.stderr
        scene.check()
        scene.converge()


@pytest.mark.nightly
def test_paused_run_continues(world, new_scene):
    """SIGSTOP during a copy, SIGCONT later."""
    chooser = random.Random("SIGSTOP")
    for seconds in [effort(1, 3)] * effort(1, 10):
        scene = new_scene(remembered=True)

        def pause(running: Running, seconds: int = seconds) -> None:
            running.send(signal.SIGSTOP)
            # How long it stands still is what this is about.
            time.sleep(seconds)
            running.send(signal.SIGCONT)

        ran = scene.start(at=Step("answered", chooser.randint(1, world.requests)), act=pause).end()
        scene.hear(ran)
        assert ran.code == 0, ran.stderr
        scene.converge()
