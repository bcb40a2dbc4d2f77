"""Which images mirrors select, by the declarations alone."""

from __future__ import annotations

import pytest

from imgsync.config.load import load_mirrors
from imgsync.discover.coverage import Covered, Declarations, iter_destinations
from imgsync.oci.spec.reference import parse_reference

A = f"sha256:{'a' * 64}"
B = f"sha256:{'b' * 64}"


def mirrors(*settings: str):
    """Return a mirror of each YAML mapping."""
    lines = "".join(f"  - {{name: m{number}, destinations: [r.io/m], {text}}}\n" for number, text in enumerate(settings))
    return load_mirrors({"a.yaml": f"version: 1\nmirrors:\n{lines}".encode()})


def ask(image: str, *settings: str):
    return Declarations(mirrors(*settings)).find_coverage(parse_reference(image))


@pytest.mark.parametrize(
    ("image", "settings", "covered", "reason"),
    [
        ("q.io/a/b:1", "source: q.io/a/b", Covered.YES, ""),
        ("q.io/a/b:1", "source: q.io/a/c", Covered.NO, "no mirror selects its repository"),
        ("q.io/a/b:1", "source: {registry: q.io, namespaces: [a]}", Covered.YES, ""),
        ("q.io/a/b:1", 'source: {registry: q.io, namespaces: [""]}', Covered.YES, ""),
        ("q.io/ab/c:1", "source: {registry: q.io, namespaces: [a]}", Covered.NO, "no mirror selects its repository"),
        ("q.io/a/b:1", "source: {registry: q.io, namespaces: [a], exclude: [a/b]}", Covered.NO, "no mirror selects its repository"),
        ("q.io/a/b:1", "source: {registry: q.io, namespaces: [a], include: [a/c*]}", Covered.NO, "no mirror selects its repository"),
        ("q.io/a/b:1", "source: q.io/a/b, suspend: true", Covered.NO, "m0: the mirror is suspended"),
        ("nginx:1", "source: docker.io/library/nginx", Covered.YES, ""),
        ("nginx", "source: docker.io/library/nginx, tags: {names: [latest]}", Covered.YES, ""),
        ("nginx", "source: docker.io/library/nginx, tags: {names: ['1']}", Covered.NO, "m0: not among `tags.names`"),
        ("q.io/a:1.2.3", "source: q.io/a, tags: {semver: '>=1.2'}", Covered.YES, ""),
        ("q.io/a:1.1.3", "source: q.io/a, tags: {semver: '>=1.2'}", Covered.NO, "m0: `semver` drops the tag"),
        ("q.io/a:1.3.0-rc.1", "source: q.io/a, tags: {semver: '>=1.2'}", Covered.NO, "m0: `prereleases` drops the tag"),
        ("q.io/a:v1", "source: q.io/a, tags: {include: ['v*'], exclude: ['v1']}", Covered.NO, "m0: `exclude` drops the tag"),
        ("q.io/a:v1", "source: q.io/a, tags: {regex: ['v[0-9]'], names: [old]}", Covered.YES, ""),
        ("q.io/a:old", "source: q.io/a, tags: {regex: ['v[0-9]'], names: [old]}", Covered.YES, ""),
        ("q.io/a:v1", "source: q.io/a, tags: {newest: 5}", Covered.UNDECIDED, "m0: `newest` depends on the other tags of the source"),
        ("q.io/a:v1", "source: q.io/a, tags: {max_age: 9d, newest_per: minor}", Covered.UNDECIDED, "m0: `newest_per` and `max_age` depend on the other tags"),
        ("q.io/a:x", "source: q.io/a, tags: {newest: 5, include: ['v*']}", Covered.NO, "m0: `include` drops the tag"),
        ("q.io/a:x", "source: q.io/a, tags: {newest: 5, names: [x]}", Covered.YES, ""),
        (f"q.io/a:1@{A}", f"source: q.io/a, tags: {{names: ['1@{A}']}}", Covered.YES, ""),
        (f"q.io/a@{A}", f"source: q.io/a, tags: {{names: ['1@{A}']}}", Covered.YES, ""),
        ("q.io/a:1", f"source: q.io/a, tags: {{names: ['1@{A}']}}", Covered.YES, ""),
        (f"q.io/a:1@{B}", f"source: q.io/a, tags: {{names: ['1@{A}']}}", Covered.NO, f"m0: 1 is pinned to another digest, {A}"),
        (
            f"q.io/a:1@{A}",
            f"source: q.io/a, platforms: [linux/amd64], tags: {{names: ['1@{A}']}}",
            Covered.UNDECIDED,
            "m0: `platforms` may give 1 another digest",
        ),
        (f"q.io/a:1@{A}", "source: q.io/a, tags: {names: ['1']}", Covered.UNDECIDED, "m0: the tag 1 is selected, and may have another digest by now"),
        (f"q.io/a:1@{A}", "source: q.io/a", Covered.UNDECIDED, "m0: the tag 1 is selected, and may have another digest by now"),
        (f"q.io/a@{A}", "source: q.io/a", Covered.UNDECIDED, "m0: which tag has this digest is not known"),
        (f"q.io/a@{A}", "source: q.io/a, tags: {names: ['1']}", Covered.NO, "m0: not among `tags.names`"),
        (f"q.io/a:sha256-{'a' * 64}", "source: q.io/a", Covered.NO, "m0: tags of referrers are copied with their image only"),
    ],
)
def test_declarations_decide_what_they_can(image, settings, covered, reason):
    """What needs a listing is undecided, with the setting that needs it."""
    found = ask(image, settings)

    assert found.covered is covered
    assert found.reason.startswith(reason)
    assert bool(found.reason) == bool(found.hint) == (covered is not Covered.YES)


def test_one_mirror_that_selects_an_image_is_enough():
    """Then one that may, then the reasons of all."""
    settings = ("source: q.io/a, tags: {names: ['1']}", "source: q.io/a, tags: {newest: 1}", "source: q.io/a, tags: {names: ['2']}")

    assert (ask("q.io/a:1", *settings).covered, ask("q.io/a:1", *settings).mirrors) == (Covered.YES, ("m0",))
    assert (ask("q.io/a:3", *settings).covered, ask("q.io/a:3", *settings).mirrors) == (Covered.UNDECIDED, ("m1",))
    assert ask("q.io/a:3", settings[0], settings[2]).reason == "m0: not among `tags.names`; m1: not among `tags.names`"


@pytest.mark.parametrize(
    ("image", "settings", "targets"),
    [
        ("q.io/a/b:1", "source: q.io/a/b", ["r.io/m/a/b:1"]),
        (f"q.io/a/b:1@{A}", "source: q.io/a/b", [f"r.io/m/a/b@{A}"]),
        (
            "q.io/a/b:1",
            "source: {registry: q.io, namespaces: [a]}, destinations: [{registry: r.io, repository: 'x/{relative}', tag: 'v{tag}'}]",
            ["r.io/x/b:v1"],
        ),
        (
            "q.io/a/b/c:1",
            "source: {registry: q.io, namespaces: [a, a/b]}, destinations: [{registry: r.io, repository: 'x/{relative}'}]",
            ["r.io/x/b/c:1"],
        ),
        (
            "q.io/a/b/c:1",
            "source: {registry: q.io, namespaces: [a/b, a]}, destinations: [{registry: r.io, repository: 'x/{relative}'}]",
            ["r.io/x/c:1"],
        ),
        ("q.io/a/b", "source: q.io/a/b", ["r.io/m/a/b:latest"]),
        ("q.io/c:1", "source: q.io/a", []),
    ],
)
def test_destinations_are_those_of_a_plan(image, settings, targets):
    """Templates are filled in; a digest stays one."""
    text = settings if "destinations" in settings else f"{settings}, destinations: [r.io/m]"
    (mirror,) = load_mirrors({"a.yaml": f"version: 1\nmirrors:\n  - {{name: a, {text}}}\n".encode()})

    assert [str(target) for target, _ in iter_destinations(mirror, parse_reference(image))] == targets


def test_pinned_tag_must_have_its_digest_at_the_destination():
    """Unless platforms are left out, which changes it."""
    pinned, subset = mirrors(f"source: q.io/a, tags: {{names: ['1@{A}']}}", f"source: q.io/a, platforms: [linux/amd64], tags: {{names: ['1@{A}']}}")

    expected = [digest for mirror in (pinned, subset) for tag in "12" for _, digest in iter_destinations(mirror, parse_reference(f"q.io/a:{tag}"))]

    assert expected == [A, "", "", ""]
