"""`imgsync runtime-config`: files for nodes, or the reason why there are none."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from imgsync.runtime_config.runtimes import RUNTIMES
from tests.support.canary import secrets_in
from tests.support.run_imgsync import Workplace

MIRRORS = """version: 1
mirrors:
  - name: hub
    source: docker.io/library/nginx
    destinations: [m.example/hub]
    immutable: ["*"]
  - name: flat
    source: {registry: quay.io, namespaces: [team]}
    destinations: [{registry: m.example, repository: "{flat}"}]
  - name: later
    suspend: true
    source: ghcr.io/team/app
    destinations: [m.example/later]
"""


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    workplace.mirror_file(MIRRORS, "mirrors.d/a.yaml")
    return workplace


def list_files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("runtime", ["containerd", "podman", "talos", "openshift", "buildkit"])
def test_mirror_that_cannot_be_expressed_is_an_error(runtime: str, place: Workplace):
    """With its place, the reason and a way out; nothing is written."""
    ran = place.run("runtime-config", runtime, "--out", "out")

    assert ran.code == 1
    assert ran.stdout == ""
    assert "mirrors.d/a.yaml:7:1: flat: quay.io/team at m.example: `repository: {flat}` changes " in ran.stderr
    assert "`runtime-config k3s` or `kyverno`" in ran.stderr
    assert "Nothing was written. To write the rest: --only hub\n" in ran.stderr
    assert "warning: mirrors.d/a.yaml:7:1: flat" not in ran.stderr
    assert not (place.folder / "out").exists()


def test_docker_is_not_offered_a_prefix_that_it_cannot_use(workplace: Workplace):
    """Following the hint works."""
    mirror = "version: 1\nmirrors:\n  - name: hub\n    source: {registry: docker.io, namespaces: [library]}\n"
    workplace.mirror_file(f'{mirror}    destinations: [{{registry: m.example, namespace: m, repository: "{{name}}"}}]\n', "mirrors.d/a.yaml")
    refused = workplace.run("runtime-config", "docker", "--out", "out")
    workplace.mirror_file(f'{mirror}    destinations: [{{registry: m.example, repository: "{{path}}"}}]\n', "mirrors.d/a.yaml")

    ran = workplace.run("runtime-config", "docker", "--out", "out")

    assert 'Docker cannot (use `repository: "{path}"` and no `namespace`, or another runtime)' in refused.stderr
    assert refused.stderr.endswith("Nothing was written.\n")
    assert (ran.code, ran.stdout) == (0, "out/daemon.json\n")


def test_warning_that_many_mirrors_share_is_one(workplace: Workplace):
    """`discover -o mirrors` writes a mirror for each repository."""
    mirrors = "".join(f"  - {{name: {name}, source: quay.io/team/{name}, destinations: [m.example/m]}}\n" for name in "abcdef")
    workplace.mirror_file(f"version: 1\nmirrors:\n{mirrors}", "mirrors.d/a.yaml")

    ran = workplace.run("runtime-config", "podman", "--out", "out")

    assert ran.code == 0
    assert ran.stderr.count("warning:") == 1
    assert "warning: mirrors.d/a.yaml:3:1: a, b, c and 3 more: podman asks the mirror for digests" in ran.stderr


def test_only_leaves_out_what_cannot_be_expressed(place: Workplace):
    """The user says so, and gets the rest."""
    ran = place.run("runtime-config", "containerd", "--only", "hub", "--out", "out")

    assert (ran.code, ran.stdout) == (0, "out/certs.d/docker.io/hosts.toml\n")
    assert list_files(place.folder / "out") == ["certs.d/docker.io/hosts.toml"]


def test_part_of_a_mirror_is_refused(place: Workplace):
    """Nodes ask for repositories, and a part may be a tag."""
    ran = place.run("runtime-config", "podman", "--only", "hub/library/nginx:1", "--out", "out")

    assert ran.code == 3
    assert "runtime-config needs whole mirrors" in ran.stderr


def test_suspended_mirror_is_left_out_with_a_warning(place: Workplace):
    """Its images are not kept up to date."""
    ran = place.run("runtime-config", "podman", "--only", "later", "--only", "hub", "--out", "out")

    assert ran.code == 0
    assert "warning: mirrors.d/a.yaml:10:1: later: left out: it is suspended" in ran.stderr
    assert "ghcr.io" not in (place.folder / ran.stdout.strip()).read_text()


@pytest.mark.row("NODE-02")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_login_is_written(runtime: str, workplace: Workplace):
    """It is named as what nodes need, and so are certificates."""
    workplace.mirror("hub", source={"registry": "docker.io", "namespaces": [""]}, destinations=["m.example:5000"], immutable=["*"])
    (workplace.folder / "ca.pem").write_text("")
    login = {"username": "robot-SECRET", "password": "password-SECRET"}
    settings = {"m.example:5000": {"credentials": login, "tls": {"ca": "ca.pem", "cert": "ca.pem", "verify": False}}}
    workplace.registries_file(json.dumps({"version": 1, "registries": settings}))

    ran = workplace.run("runtime-config", runtime, "--out", "out")

    assert ran.code == 0, ran.stderr
    texts = [(workplace.folder / name).read_text() for name in ran.stdout.split()]
    assert texts
    assert not [secret for text in (*texts, ran.stderr) for secret in secrets_in(text)]
    assert "m.example:5000 has a login in registries.yaml, which is never written" in ran.stderr
    assert "m.example:5000 has a client certificate" in ran.stderr
    assert "m.example:5000 has a certificate of an own authority" in ran.stderr


@pytest.mark.row("NODE-01")
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_file_name_adds_no_setting(runtime: str, workplace: Workplace):
    """It is part of a comment, and may contain line breaks."""
    name = 'a\n[host."evil.example"]\r\nserver: evil.yaml'
    workplace.mirror_file(
        "version: 1\nmirrors: [{name: hub, source: {registry: docker.io, namespaces: ['']}, destinations: [m.example]}]\n", f"mirrors.d/{name}"
    )

    ran = workplace.run("runtime-config", runtime, "--out", "out")

    assert ran.code == 0, ran.stderr
    for path in ran.stdout.split():
        text = (workplace.folder / path).read_text()
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        assert "evil" not in "".join(lines)
        if path.endswith((".toml", ".conf")):
            tomllib.loads(text)


@pytest.mark.parametrize(
    ("runtime", "option", "able"),
    [
        ("k3s", "--digest-only", "containerd, podman, openshift, kyverno"),
        ("talos", "--digest-only", "containerd, podman, openshift, kyverno"),
        ("docker", "--no-fallback", "containerd, podman, k3s, talos, openshift, kyverno"),
        ("buildkit", "--no-fallback", "containerd, podman, k3s, talos, openshift, kyverno"),
    ],
)
def test_option_that_a_runtime_does_not_have_is_an_error(runtime: str, option: str, able: str, place: Workplace):
    """Runtimes that have it are named."""
    ran = place.run("runtime-config", runtime, option, "--only", "hub", "--out", "out")

    assert ran.code == 3
    assert f"use one of {able}" in ran.stderr


def test_tags_that_can_move_come_from_the_source_with_a_warning(workplace: Workplace):
    """To podman, unless nothing else has them or the source is never asked."""
    declared = {"source": {"registry": "docker.io", "namespaces": [""]}, "destinations": ["m.example"]}
    workplace.mirror("moving", **declared)
    workplace.mirror("smaller", **declared, platforms=["linux/amd64"])
    written = {}
    for name, options in (("moving", []), ("smaller", []), ("moving", ["--no-fallback"])):
        ran = workplace.run("runtime-config", "podman", "--only", name, *options, "--out", f"out{len(written)}")
        table = tomllib.loads((workplace.folder / ran.stdout.strip()).read_text())["registry"][0]
        written[name, *options] = (table["mirror"][0].get("pull-from-mirror"), "because tags can move" in ran.stderr)

    assert written == {("moving",): ("digest-only", True), ("smaller",): (None, False), ("moving", "--no-fallback"): (None, False)}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_plain_http_and_unchecked_certificates_are_written(runtime: str, workplace: Workplace):
    """As registries.yaml says it of a destination, or what else a node needs for it."""
    workplace.mirror("hub", source={"registry": "docker.io", "namespaces": [""]}, destinations=["plain.example", "unchecked.example"], immutable=["*"])
    workplace.registries_file("version: 1\nregistries: {plain.example: {tls: false}, unchecked.example: {tls: {verify: false}}}\n")

    ran = workplace.run("runtime-config", runtime, "--out", "out")

    text = "".join((workplace.folder / name).read_text() for name in ran.stdout.split())
    expected = {
        "containerd": [
            '[host."http://plain.example/v2"]',
            'unchecked.example/v2"]\n  capabilities = ["pull", "resolve"]\n  override_path = true\n  skip_verify = true',
        ],
        "podman": ['location = "plain.example"\ninsecure = true', 'location = "unchecked.example"\ninsecure = true'],
        "k3s": ["- http://plain.example\n", "unchecked.example:\n    tls:\n      insecure_skip_verify: true"],
        "talos": ["url: http://plain.example\n", "name: unchecked.example\ninsecureSkipVerify: true"],
        "docker": ['"http://plain.example"', '"insecure-registries": [\n    "unchecked.example"'],
        "buildkit": ['[registry."plain.example"]\n  http = true', '[registry."unchecked.example"]\n  insecure = true'],
    }
    assert [one for one in expected.get(runtime, ()) if one not in text] == []
    if runtime not in expected:
        # Kyverno uses one destination.
        assert f"plain.example{', unchecked.example' if runtime == 'openshift' else ''}: registries.yaml says plain http" in ran.stderr
