"""The allow-list of destinations."""

from __future__ import annotations

import json

import pytest

from imgsync.config.load import is_allowed
from tests.support.declarations import declared, faults_of

HEAD = "version: 1\nmirrors:\n  - name: a\n"


GOOD = HEAD + "    source: registry.k8s.io/pause\n    destinations: [r.example.com/m]\n"


@pytest.mark.parametrize(
    ("prefixes", "wanted", "allowed"),
    [(None, "x.io/a", True), ((), "x.io/a", False), (("x.io/a",), "x.io/a/b", True), (("x.io/a",), "x.io/ab", False), (("x.io",), "x.io.evil.net/a", False)],
)
def test_allow_matches_whole_parts(prefixes, wanted, allowed):
    """An allowed prefix ends at a path part."""
    assert is_allowed(prefixes, wanted) is allowed


def test_mirror_outside_allow_is_an_error(tmp_path):
    """The error names the rule."""
    found = faults_of(tmp_path, GOOD, registry_settings="version: 1\nallow: {sources: [quay.io], destinations: [r.example.com/other]}\n")

    assert len(found) == 2
    assert "registry.k8s.io/pause is not allowed by registries.yaml (allowed: quay.io;" in found[0] + found[1]


@pytest.mark.row("CFG-11", "GIT-03")
@pytest.mark.parametrize("command", ["plan", "apply", "verify"])
def test_disallowed_mirror_is_refused_before_any_request(command, lab):
    """Exit 3 with the rule and who can change it."""
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    registry_settings = json.loads((lab.folder / "registries.yaml").read_text())
    registry_settings["allow"] = {"sources": [f"{lab.source}/public"], "destinations": [f"{lab.destination}/mirror"]}
    (lab.folder / "registries.yaml").write_text(json.dumps(registry_settings))
    lab.workplace.mirror(
        "a", source=f"{lab.source}/publicity/x", destinations=[f"{lab.destination}/mirror/prod", f"{lab.destination}/production", "127.0.0.1:9/mirror"]
    )

    ran = lab.run(command)

    assert ran.code == 3
    assert f"a.source: {lab.source}/publicity/x is not allowed by registries.yaml (allowed: {lab.source}/public; the operator of registries.yaml" in ran.stderr
    assert f"a.destinations: {lab.destination}/production is not allowed by registries.yaml (allowed: {lab.destination}/mirror;" in ran.stderr
    assert "127.0.0.1:9/mirror is not allowed" in ran.stderr
    assert "mirror/prod is not allowed" not in ran.stderr
    assert (lab.source.seen, lab.destination.seen, ran.stdout) == ([], [], "")


@pytest.mark.row("CFG-11")
@pytest.mark.parametrize(
    ("destination", "allowed"),
    [
        ({"namespace": "mirror"}, True),
        ({"namespace": "mirror/deep", "repository": "{flat}"}, True),
        ({"repository": "mirror/{name}"}, True),
        ({"repository": "mirror{name}"}, False),
        ({"repository": "{path}"}, False),
        ({"repository": "{parent}/mirror/{name}"}, False),
        ({"namespace": "mirrors"}, False),
        ({"namespace": "mirror", "repository": "../prod/{name}"}, False),
        ({"namespace": "Mirror"}, False),
        ({"registry": "r.io.evil.example", "namespace": "mirror"}, False),
        ({"registry": "R.io", "namespace": "mirror"}, False),
        ({"registry": "r.io:443", "namespace": "mirror"}, False),
    ],
    ids=str,
)
def test_fixed_part_of_a_template_must_be_allowed(destination, allowed, tmp_path):
    """The part that is equal for every image must be below an allowed prefix."""
    text = json.dumps(declared(destination={"registry": "r.io"} | destination))

    faults = faults_of(tmp_path, text, registry_settings="version: 1\nallow: {destinations: [r.io/mirror]}\n")

    assert (faults == []) is allowed, faults
