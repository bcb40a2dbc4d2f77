"""Planning one tag."""

from __future__ import annotations

import pytest

from tests import switches
from tests.support.images import image, index
from tests.support.outcomes import only_error
from tests.switches.content import Flipping


@pytest.mark.row("DIG-13")
def test_tag_that_moves_with_every_request_is_one_image(lab):
    """A tag is resolved once; the image that arrives is whole and the one reported."""
    both = [lab.push("app", tag, index(number)) for number, tag in enumerate(("1", "other"))]
    lab.source.add(Flipping(*both), method="GET|HEAD", target="/manifests/1$")
    lab.declare("app", "tags: {names: ['1']}")

    for _ in range(3):
        ran = lab.run("apply", "-o", "json", "--refresh")

        assert ran.code == 0, ran.stderr
        digest = ran.json["outcomes"][0]["digest"]
        (served,) = [content for content in both if content.digest == digest]
        lab.assert_served("app", "1", served)


@pytest.mark.row("DIG-14")
def test_vanished_tag_is_skipped_with_a_warning(lab):
    """A listed tag that vanished is skipped; a missing tag in `names` is an error."""
    lab.push("app", "a", image(1))
    lab.push("app", "b", image(2))
    lab.source.add(switches.status(404, error="MANIFEST_UNKNOWN"), target="/manifests/b$")
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 0
    assert [event["source"].rpartition(":")[2] for event in ran.events("tag.vanished")] == ["b"]
    assert lab.served_tags("app") == ["a"]
    lab.declare("app", "tags: {names: [b]}")
    ran = lab.run("apply", "-o", "json")
    assert "does not exist at the source" in only_error(ran)
