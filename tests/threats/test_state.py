"""The state as a threat: damaged, planted, old, full or not to be written; it may cost requests, never correctness (ST-01 to ST-19)."""

from __future__ import annotations

import signal

import pytest

from tests.crash.harness import Running
from tests.images import image, push
from tests.switches import Hold
from tests.switches.state import AtStep, LosesAnswer

ONE_TAG = "tags: {names: ['1']}"


@pytest.mark.parametrize("how", ["killed", "answer lost"])
def test_tag_that_moved_and_moves_back_is_not_taken_for_what_it_was(how, registry, second_registry, name, declare, imgsync, start_imgsync, destination):
    """The registry took the new image and we never heard of it; what is remembered of the old one must not count when the source goes back to it."""
    old = push(registry, f"{name}/app", "1", image("old"))
    declare(f"[{name}/app]", ONE_TAG, retry="{attempts: 1, interval: 0s}")
    assert imgsync("apply").code == 0
    new = push(registry, f"{name}/app", "1", image("new"))
    held = Hold()
    destination.add(held, method="POST")
    running = Running(start_imgsync("apply"))
    held.reached()
    destination.add(AtStep(1, "answered", running.kill) if how == "killed" else LosesAnswer(), method="PUT", target="/manifests/1$")
    held.release()
    assert running.end().code == (-signal.SIGKILL if how == "killed" else 1)
    assert second_registry.digest(f"m/{name}/app", "1") == new.digest
    destination.clear()
    push(registry, f"{name}/app", "1", old)

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert second_registry.digest(f"m/{name}/app", "1") == old.digest
    assert imgsync("apply", "-o", "json").json["summary"]["copied"] == 0
