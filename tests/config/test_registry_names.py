"""One registry has one name, wherever it is written."""

from __future__ import annotations

import base64
import json

import pytest

from imgsync.config.load import load_config
from imgsync.errors import InvalidReferenceError
from imgsync.oci.auth.auth_files import load_auth_files
from imgsync.oci.spec.reference import parse_reference, parse_registry


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("r.example:443", "r.example"),
        ("[::1]:443", "[::1]"),
        ("r.example:05000", "r.example:5000"),
        ("r.example:80", "r.example:80"),
        ("[0:0:0:0:0:0:0:1]:5000", "[::1]:5000"),
        ("[::ffff:10.0.0.1]:443", "10.0.0.1"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io:443", "docker.io"),
    ],
)
def test_port_of_https_is_no_part_of_the_name(written, name):
    """Docker Hub has one name too."""
    assert parse_registry(written) == name
    assert str(parse_reference(f"{written}/team/app:1")) == f"{name}/team/app:1"


@pytest.mark.parametrize("written", ["10.1", "167772161:5000", "0x0a000001", "012.0.0.1", "0xa.0.0.1:443"])
def test_unusual_spelling_of_an_address_is_refused(written):
    """A rule of the operator for 10.0.0.1 would not match it."""
    with pytest.raises(InvalidReferenceError) as refused:
        parse_registry(written)

    assert refused.value.hint == "write 10.0.0.1"


def validate(lab, registries: str, *, source: str = "s.example/app", destinations: str = "[d.example/m]"):
    lab.write("registries.yaml", f"version: 1\n{registries}")
    lab.write("mirrors.d/a.yaml", f"version: 1\nmirrors:\n  - {{name: a, source: {source}, destinations: {destinations}}}\n")
    return lab.run("validate", "--show")


@pytest.mark.parametrize("names", [("r.example", "r.example:443"), ("docker.io", "index.docker.io:443"), ("r.example: {tls: false}", "r.example:80")])
def test_registry_under_two_names_is_an_error(names, lab):
    """Otherwise one entry would silently win."""
    entries = "".join(f"  {name}: {{tls: false}}\n" if "tls" not in name else f"  {name}\n" for name in names).replace(":443: {tls: false}", ":443: {}")

    ran = validate(lab, f"registries:\n{entries}")

    assert ran.code == 3
    assert "duplicate registry" in ran.stderr


def test_plain_http_at_the_port_of_https_is_an_error(lab):
    """The name without the port means port 80 then."""
    ran = validate(lab, "registries:\n  r.example:443: {tls: false}\n")

    assert ran.code == 3
    assert "port 443 is the port of https" in ran.stderr


@pytest.mark.parametrize(
    ("registries", "destinations"),
    [
        ("", "[d.example/m, 'd.example:443/m']"),
        ("registries:\n  d.example: {tls: false}\n", "[d.example/m, 'd.example:80/m']"),
        ("", "[docker.io/m, 'index.docker.io:443/m']"),
    ],
)
def test_destination_under_two_names_is_one(registries, destinations, lab):
    """So is its place in an allow-list."""
    allow = "allow: {destinations: ['d.example:443/m', 'index.docker.io/m', 'd.example:80/m']}\n"

    ran = validate(lab, registries + allow, destinations=destinations)

    assert "allow" not in ran.stderr
    config = load_config([str(lab.folder / "mirrors.d")], registries=str(lab.folder / "registries.yaml"), environ={})
    assert len({destination.registry for destination in config.mirrors[0].destinations}) == 1


def test_source_of_another_spelling_is_allowed(lab):
    """`allow` and `require` compare names, not texts."""
    ran = validate(lab, "allow: {sources: ['s.example:443']}\n")

    assert ran.code == 0, ran.stderr


def test_credentials_of_another_spelling_are_found(lab):
    """A login with the port counts for the name without it."""
    auth = base64.b64encode(b"me:secret").decode()
    lab.write("docker/config.json", json.dumps({"auths": {"r.example:443": {"auth": auth}}, "credHelpers": {"h.example:443": "x"}}))
    (*_, found) = load_auth_files({"DOCKER_CONFIG": str(lab.folder / "docker"), "HOME": str(lab.folder)})

    assert found.find_login("r.example", "app") is not None
    assert (found.find_helper("h.example"), found.find_server("h.example")) == ("x", "h.example:443")
