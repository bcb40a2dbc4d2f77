"""`imgsync copy` asks the destination."""

from __future__ import annotations

from tests.plan.test_verify import Behind
from tests.support.images import image
from tests.support.terminal import record


def test_deleted_image_is_pushed_again(lab):
    """The state says that it is there; the tag and its layers are gone."""
    content = lab.push("app", "1", image(1, layers=2))
    lab.declare("app")
    words = ("copy", f"{lab.source.host}/{lab.name}/app:1", f"{lab.destination.host}/m/{lab.name}/app:1", "-o", "json")
    assert lab.run(*words).code == 0
    behind = Behind(lab.destination_registry, f"m/{lab.name}/app")
    behind.forget_tag("1")
    for digest in content.all_blobs:
        behind.forget_blob(digest)

    ran = lab.run(*words)

    assert ran.code == 0, ran.stderr
    assert ran.json["summary"]["blobs_copied"] == len(content.all_blobs)
    lab.assert_served("app", "1", content)


def test_copy_on_a_terminal_asks_nothing(lab):
    """Its arguments say what it changes, and the help says so."""
    content = lab.push("app", "1", image(lab.name))
    lab.declare("app")

    seen = record(lab.workplace, "copy", f"{lab.source.host}/{lab.name}/app:1", f"{lab.destination.host}/m/{lab.name}/app:1", columns=100)

    assert seen.code == 0
    assert "[y/N]" not in seen.raw
    lab.assert_served("app", "1", content)


def test_unchanged_image_costs_one_head_at_the_destination(lab):
    """The same digest there is enough."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    words = ("copy", f"{lab.source.host}/{lab.name}/app:1", f"{lab.destination.host}/m/{lab.name}/app:1", "-o", "json")
    assert lab.run(*words).code == 0
    lab.destination.forget()

    assert lab.run(*words).json["summary"]["kept"] == 1

    assert lab.destination.requests() == [f"HEAD /v2/m/{lab.name}/app/manifests/1"]
