"""`imgsync validate`: what it can say without a network."""

from __future__ import annotations

import pytest

from tests.support.run_imgsync import Workplace

MIRRORS = """version: 1
mirrors:
  - name: exact
    source: {registry: r.io, repositories: [team/app, team/web, team/old], exclude: [team/old]}
    tags: {names: ["1.0", "1.1@sha256:%s"]}
    destinations: [m.io/exact]
  - name: filtered
    source: r.io/x
    tags: {include: ["v*"], semver: ">=1", exclude: ["*-rc.*"], newest: 1, names: [latest]}
    destinations: [m.io/filtered]
  - name: open
    source: {registry: r.io, namespaces: [team]}
    destinations: [m.io/open]
""" % ("0" * 64)


@pytest.fixture
def place(workplace) -> Workplace:
    workplace.mirror_file(MIRRORS, "mirrors.d/a.yaml")
    return workplace


@pytest.mark.parametrize(
    "patterns",
    [
        ["exact/team/app"],
        ["exact/**/w*:1.?"],
        ["exact:1.1"],
        ["filtered:v1.2.3"],
        ["filtered:latest"],
        ["filtered:nothing*"],
        ["open/anything:at-all"],
        ["*:v2.0.0"],
        ["exact/team/app", "open/x"],
    ],
    ids=" ".join,
)
def test_possible_images_are_not_called_good(patterns, place):
    """Only the registry knows whether they exist."""
    ran = place.run("validate", *(word for pattern in patterns for word in ("--only", pattern)))

    assert ran.code == 0, ran.stderr
    assert "valid; `imgsync plan` checks whether the registry has what --only names" in ran.stdout
    assert "all good" not in ran.stdout


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("exact/team/ap", "did you mean exact/team/app?"),
        ("exact/team/old", "`imgsync plan --only exact --all` shows what it selects"),
        ("exact/team/app:1.2", "did you mean exact/team/app:1.1 or exact/team/app:1.0?"),
        ("exact:3*", "`imgsync plan --only exact --all` shows what it selects"),
        ("filtered/y", "`imgsync plan --only filtered --all` shows what it selects"),
        ("filtered:1.0", "`tags.include` of mirror filtered does not select the tag 1.0"),
        ("filtered:v0.9", "`tags.semver` of mirror filtered does not select the tag v0.9"),
        ("filtered:v1.0-rc.1", "`tags.prereleases` of mirror filtered does not select the tag v1.0-rc.1"),
    ],
)
def test_image_that_a_mirror_cannot_select_is_an_error(pattern, hint, place):
    """As in a plan, with what is near, or what drops it; another pattern does not hide it."""
    for others in ([], ["--only", "open"]):
        ran = place.run("validate", "--only", pattern, *others)

        assert ran.code == 3
        assert f"--only {pattern} matches no image that this mirror selects" in ran.stderr
        assert hint in ran.stderr


def test_whole_mirror_can_be_good(place):
    """All of it is known."""
    ran = place.run("validate", "--only", "exact")

    assert (ran.code, ran.stdout) == (0, "1 file, 1 mirror, 1 destination: all good.\n")
