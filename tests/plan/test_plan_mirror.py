"""Destinations are connected to while the source is listed, if they will be needed."""

from __future__ import annotations

import pytest

from tests.support.images import image
from tests.support.run_imgsync import eventually, finish
from tests.switches import Hold


def test_new_repository_connects_to_its_destination_early(lab):
    """The connection is there before the source has answered."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    listing = lab.source.add(Hold(), method="GET", target="/tags/list")
    assert isinstance(listing, Hold)

    process = lab.start("apply", "-o", "json")
    eventually(lambda: lab.destination.most_open)
    asked = len(lab.destination.seen)
    listing.release()
    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert asked == 0
    assert ran.json["summary"]["copied"] == 1


def test_unchanged_repository_needs_no_destination(lab):
    """Where every tag has a record, nothing connects to the destination."""
    lab.push("app", "1", image(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    lab.destination.most_open = 0

    assert lab.run("apply").code == 0

    assert lab.destination.most_open == 0


def test_unreachable_destination_is_reported_once_it_is_needed(lab):
    """A destination that cannot be connected to early is no error of the listing."""
    lab.push("app", "1", image(1))
    lab.workplace.mirror("a", source=f"{lab.source}/{lab.name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 1})
    lab.workplace.allow_plain_http(lab.source, "127.0.0.1:1")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    (error,) = ran.json["errors"]
    assert "cannot connect" in error["message"]
    assert f"{lab.name}/app:1" in str(error)


@pytest.mark.parametrize(("declared", "at_once"), [("", 7), ("concurrency: {images: 3}", 3)], ids=["undeclared", "declared"])
def test_many_images_are_copied_at_once_by_default(declared, at_once, lab):
    """Seven images are copied at the same time, unless the mirror declares fewer."""
    for number in range(7):
        lab.push("app", str(number), image((lab.name, number), layers=1))
    lab.declare("app", declared)
    manifests = lab.destination.add(Hold(), method="PUT", target="/manifests/")
    assert isinstance(manifests, Hold)

    process = lab.start("apply", "-o", "json")
    for _ in range(at_once):
        manifests.reached()
    asked = sum(one.method == "PUT" and "/manifests/" in one.path for one in lab.destination.seen)
    manifests.release()
    ran = finish(process)

    assert ran.code == 0, ran.stderr
    assert asked == at_once
    assert ran.json["summary"]["copied"] == 7
