"""The allow-list of destinations."""

from __future__ import annotations

import json

import pytest

from imgsync.config.allowlist import is_allowed
from tests.support.declarations import declared, faults_of
from tests.support.signing import signer

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
    assert (
        f"mirrors[0].source: {lab.source}/publicity/x is not allowed by registries.yaml (allowed: {lab.source}/public; the operator of registries.yaml"
        in ran.stderr
    )
    assert f"mirrors[0].destinations[1]: {lab.destination}/production is not allowed by registries.yaml (allowed: {lab.destination}/mirror;" in ran.stderr
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
        ({"registry": "r.io:8443", "namespace": "mirror"}, False),
        ({"registry": "r.io:443", "namespace": "mirror"}, True),
    ],
    ids=str,
)
def test_fixed_part_of_a_template_must_be_allowed(destination, allowed, tmp_path):
    """The part that is equal for every image must be below an allowed prefix."""
    text = json.dumps(declared(destination={"registry": "r.io"} | destination))

    faults = faults_of(tmp_path, text, registry_settings="version: 1\nallow: {destinations: [r.io/mirror]}\n")

    assert (faults == []) is allowed, faults


@pytest.mark.row("CFG-11", "SIG-01")
@pytest.mark.parametrize("setting", ["allow", "require", "signed_as"])
@pytest.mark.parametrize(
    ("prefix", "remedy"),
    [
        ("r.io/company/*", "write r.io/company"),
        ("r.io/company/**", "write r.io/company"),
        ("r.io/Company", "write r.io/company"),
        ("r.io/company//app", "write r.io/company/app"),
        ("r.io/./company", "write r.io/company"),
        ("r.io/../company", "write r.io/company"),
        ("r.io/company/app:v1", "write r.io/company/app"),
        (f"r.io/company/app@sha256:{'0' * 64}", "write r.io/company/app"),
        ("r.io/company/{app}", "write r.io/company"),
        ("r.io/comp\u0430ny", "write r.io"),
        ("r.io/company ", "write r.io"),
        ("r.io//", "write r.io"),
        ("r.io/${NAME}", "write r.io"),
        ("*.io/company", "HOST"),
        ("https://r.io/company", "write it without https://: r.io/company"),
        ("R.io/company", "write r.io"),
        ("user@r.io/company", "credentials belong"),
        ("/company", "HOST"),
        ("company/app", "write docker.io/company/app, or company:443/app for a registry named company"),
        ("nginx", "write docker.io/library/nginx, or nginx:443 for a registry named nginx"),
        ("0x0a000001/app", "write 10.0.0.1"),
        ("10.1/app", "write 10.0.0.1"),
    ],
)
def test_prefix_that_matches_nothing_is_an_error(setting, prefix, remedy, tmp_path):
    """Each list of prefixes has the same grammar, and the error says what to write."""
    settings = {
        "allow": {"allow": {"sources": ["s.io", prefix]}},
        "require": {"require": {prefix: {"max_size": "1GiB"}}},
        "signed_as": {"keys": {"prod": {"pem": signer().pem, "signed_as": [prefix]}}},
    }

    (fault,) = faults_of(tmp_path, json.dumps(declared()), registry_settings=json.dumps({"version": 1} | settings[setting]))

    assert fault.startswith("registries:1:")
    assert remedy in fault


@pytest.mark.parametrize(
    "prefix", ["r.io", "r.io/", "r.io/company", "r.io/company/", "r.io:5000/a/b-c__d", "[::1]:5000/a", "index.docker.io/library", "hub:443", "hub:5000/a"]
)
def test_slash_at_the_end_of_a_prefix_is_ignored(prefix, tmp_path):
    """One slash, as people write a folder."""
    assert faults_of(tmp_path, json.dumps(declared()), registry_settings=json.dumps({"version": 1, "require": {prefix: {"max_size": "1GiB"}}})) == []
