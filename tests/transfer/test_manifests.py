"""Manifests: children first, the tag last."""

from __future__ import annotations

from collections import Counter

import pytest

from tests import switches
from tests.plan.test_verify import Behind
from tests.support.images import first_layer, image, index
from tests.support.outcomes import only_error
from tests.switches.net import (
    before_it_goes_on,
)


@pytest.mark.row("DIG-16")
def test_index_with_a_missing_child_leaves_the_tag_unchanged(lab):
    """The tag serves its old image; others are copied."""
    before = lab.push("app", "1", index(1))
    lab.declare("app")
    assert lab.run("apply").code == 0
    moved = lab.push("app", "1", index(2))
    other = lab.push("app", "2", index(3))
    lab.source.add(switches.status(404, error="MANIFEST_UNKNOWN"), target=moved.children[1].digest)

    ran = lab.run("apply", "-o", "json")

    error = only_error(ran)
    assert f"pull manifest {lab.source.host}/{lab.name}/app@{moved.children[1].digest} (source): 404 MANIFEST_UNKNOWN" in error
    lab.assert_served("app", "1", before)
    lab.assert_served("app", "2", other)


@pytest.mark.row("REG-16")
def test_blob_collected_before_the_manifest_is_sent_again(lab):
    """The refused manifest is the signal."""
    content = lab.push("app", "1", image(1, layers=2))
    gone = first_layer(content)
    collector = Behind(lab.destination_registry, f"m/{lab.name}/app")
    lab.destination.add(before_it_goes_on(lambda: collector.forget_blob(gone)), method="PUT", target="/manifests/1$", nth=1)
    lab.declare("app", "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stderr
    assert [one.status for one in lab.destination.recorded("PUT .*/manifests/1$")] == [400, 201]
    puts = Counter(one.target.rpartition("digest=")[2].replace("%3A", ":") for one in lab.destination.recorded("PUT .*/uploads/"))
    assert puts == dict.fromkeys(content.all_blobs, 1) | {gone: 2}
    lab.assert_served("app", "1", content)


@pytest.mark.row("REG-18")
def test_immutable_tag_with_the_right_digest_is_done(lab):
    """It is not pushed; a push whose answer was lost counts as done."""
    there = lab.push("app", "there", image("there"))
    lost = lab.push("app", "lost", image("lost"))
    lab.push_to_destination("app", "there", there)
    lab.destination.add(switches.reset(), method="PUT", target="/manifests/lost$", nth=1)
    lab.destination.add(switches.immutable_tag(), method="PUT", target="/manifests/lost$", nth=2)
    lab.destination.add(switches.immutable_tag(), method="PUT", target="/manifests/there$")
    lab.declare("app", "referrers: false")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert (ran.json["summary"]["copied"], ran.json["summary"]["kept"]) == (1, 1)
    assert lab.destination.requests("PUT .*/manifests/there$") == []
    lab.assert_served("app", "lost", lost)
