"""Progress without a terminal: log lines at intervals."""

from __future__ import annotations

import json

import pytest

from tests.support.images import first_layer, image
from tests.switches import Hold


def beats(process, event: str, held: Hold, *, until: str) -> list[dict]:
    """Return the lines of *event*; release *held* at the first that contains *until*."""
    lines = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if event in line and until in line:
            held.release()
    assert process.wait(30) == 0
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_planning_logs_what_it_has_done(command, lab):
    """Repositories listed of how many, tags found, tags looked up."""
    lab.push("app", "1", image(lab.name))
    lab.push("more", "1", image(lab.name))
    lab.declare("app more")
    held = lab.source.add(Hold(), target="/more/manifests/")

    found = beats(lab.start(command, "--heartbeat", "100ms"), "plan.progress", held, until='"tags_total": 2')

    last = found[-1]
    assert (last["repositories_listed"], last["repositories_total"], last["tags_total"]) == (2, 2, 2)
    assert last["tags_looked_up"] < 2
    assert last["requests"] >= 2


def test_planning_of_a_namespace_shows_that_it_lives(lab):
    """Before the first repository is known, requests are counted."""
    lab.push("app", "1", image(lab.name))
    lab.declare("", namespaces=f"['{lab.name}']")
    held = lab.source.add(Hold(), target="/_catalog")

    found = beats(lab.start("plan", "--heartbeat", "100ms"), "plan.progress", held, until='"repositories_total": 0')

    assert (found[0]["repositories_total"], found[0]["tags_total"]) == (0, 0)
    assert found[0]["requests"] >= 1


@pytest.mark.parametrize("deep", [[], ["--deep"]], ids=["shallow", "deep"])
def test_verify_logs_images_checked(deep, lab):
    """Images checked of how many, and with --deep what was read."""
    lab.push("app", "1", image(lab.name))
    content = lab.push("app", "2", image((lab.name, 2), layers=1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    target = f"/blobs/{first_layer(content)}" if deep else "/manifests/2"
    held = lab.destination.add(Hold(), target=target, method="GET" if deep else "HEAD|GET")

    found = beats(lab.start("verify", *deep, "--heartbeat", "100ms"), "verify.progress", held, until='"images_total": 2')

    assert found[-1]["images_total"] == 2
    assert found[-1]["images_checked"] <= 2
    assert all("bytes_read" in one for one in found)
