"""Building a plan: two sources of one destination."""

from __future__ import annotations

import pytest

from tests.support.images import image, push


@pytest.mark.row("OUT-05")
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_two_sources_of_one_reference_are_a_fault_before_anybody_is_asked(command, workplace, imgsync, source, destination):
    """Where names alone show it: exit 3, both sources and where they are declared, no request."""
    workplace.trust_plain(source, destination)
    for mirror in "ab":
        workplace.mirror(
            mirror,
            source=f"{source}/{mirror}/x",
            destinations=[{"registry": destination.host, "namespace": "m", "repository": "{name}"}],
            tags={"names": ["1"]},
        )

    ran = imgsync(command)

    assert ran.code == 3
    assert f"{source}/b/x:1 would be written to {destination}/m/x:1 ({source}/a/x:1 goes there too, by the mirror 'a' at mirrors.d/a.yaml:4" in ran.stderr
    assert (source.seen, destination.seen, ran.stdout) == ([], [], "")


@pytest.mark.row("OUT-05")
def test_collision_that_the_listings_show_writes_neither(registry, second_registry, name, workplace, imgsync, source, destination):
    """Found while planning, each mirror's change is refused by an error that names the other; the reference is not touched, the others go on."""
    workplace.trust_plain(source, destination)
    for mirror in "ab":
        push(registry, f"{name}/{mirror}/x", "1", image((name, mirror)))
        workplace.mirror(mirror, source=f"{source}/{name}/{mirror}/x", destinations=[{"registry": destination.host, "namespace": name, "repository": "{name}"}])
    push(registry, f"{name}/b/x", "2", image((name, "2")))

    ran = imgsync("apply", "-o", "json")

    assert ran.code == 1
    assert second_registry.tags(f"{name}/x") in ([], ["2"])
    said = " ".join(error["message"] for error in ran.json["errors"])
    assert f"{name}/a/x:1" in said
    assert f"{name}/b/x:1" in said
