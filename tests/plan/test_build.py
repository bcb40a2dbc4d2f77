"""Building a plan: two sources of one destination."""

from __future__ import annotations

import pytest

from tests.support.images import image
from tests.switches import status


@pytest.mark.row("OUT-05")
@pytest.mark.parametrize("command", ["plan", "apply"])
def test_two_sources_of_one_destination_are_a_configuration_error(command, lab):
    """Exit 3 with both sources and their places, and no request."""
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    for mirror in "ab":
        lab.workplace.mirror(
            mirror,
            source=f"{lab.source}/{mirror}/x",
            destinations=[{"registry": lab.destination.host, "namespace": "m", "repository": "{name}"}],
            tags={"names": ["1"]},
        )

    ran = lab.run(command)

    assert ran.code == 3
    assert (
        f"{lab.source}/b/x:1 would be written to {lab.destination}/m/x:1 (the mirror 'a' at mirrors.d/a.yaml:4 copies {lab.source}/a/x:1 there;" in ran.stderr
    )
    assert (lab.source.seen, lab.destination.seen, ran.stdout) == ([], [], "")


@pytest.mark.row("OUT-05")
def test_collision_found_by_listing_copies_neither(lab):
    """Both changes are refused, each naming the other mirror; other images continue."""
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    for mirror in "ab":
        lab.push(f"{mirror}/x", "1", image((lab.name, mirror)))
        lab.workplace.mirror(
            mirror,
            source=f"{lab.source}/{lab.name}/{mirror}/x",
            destinations=[{"registry": lab.destination.host, "namespace": lab.name, "repository": "{name}"}],
        )
    lab.push("b/x", "2", image((lab.name, "2")))

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1
    assert lab.destination_registry.tags(f"{lab.name}/x") in ([], ["2"])
    said = " ".join(error["message"] for error in ran.json["errors"])
    assert f"{lab.name}/a/x:1" in said
    assert f"{lab.name}/b/x:1" in said


@pytest.mark.parametrize("command", ["plan", "verify"])
def test_stopped_plan_is_printed(command, lab):
    """What is known so far is printed, with an error for the rest; exit 75."""
    lab.push("app", "1", image(1))
    lab.source.add(status(503), target="/tags/list")
    lab.declare("app", retry="{attempts: 9, interval: 20s}")

    ran = lab.run(command, "-o", "json", "--run-timeout", "1s")

    assert ran.code == 75, ran.stderr
    assert [error["later"] for error in ran.json["errors"]] == [True]


def test_copies_before_a_failed_plan_are_reported(lab):
    """The report has what was copied, and the error; exit 1, since something was done."""
    lab.push("app", "1", image(1))
    lab.write("broken.pem", "no certificate")
    lab.declare("app", registries=f"  {lab.other_host.host}: {{tls: {{ca: broken.pem}}}}\n")
    lab.workplace.mirror("b", source=f"{lab.other_host.host}/x", destinations=[f"{lab.destination.host}/b"])

    ran = lab.run("apply", "-o", "json", "--junit", "report.xml")

    assert ran.code == 1, ran.stderr
    assert [outcome["result"] for outcome in ran.json["outcomes"]] == ["copied"]
    assert "TLS files" in ran.json["errors"][0]["message"]
    assert 'name="' + str(lab.destination.host) in (lab.folder / "report.xml").read_text()
    assert lab.served_tags("app") == ["1"]
    assert lab.run("plan").code == 3
