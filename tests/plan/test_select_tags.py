"""Selecting tags by date: a tag that cannot be read costs itself alone."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.support.images import OCI, Image, digest_of, image, index, to_json
from tests.support.lab import Lab
from tests.switches import status
from tests.switches.content import manifest_of

NOVEMBER = "2026-11-01T00:00:00Z"


def with_config(raw: bytes, **changes: object) -> Image:
    """Return an image whose config has the bytes *raw*, and another descriptor if given."""
    descriptor = {"mediaType": OCI["config"], "digest": digest_of(raw), "size": len(raw)} | changes
    document = {"schemaVersion": 2, "mediaType": OCI["manifest"], "config": descriptor, "layers": []}
    return Image(to_json(document), OCI["manifest"], {digest_of(raw): raw})


def spoil(lab: Lab, how: str) -> None:
    """Push the tag `bad`, and damage it *how*."""
    content = {
        "config is no JSON": with_config(b"{"),
        "config is a list": with_config(b"[]"),
        "config is too deep": with_config(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        "config has too many values": with_config(b'{"a":[' + b"0," * 200_000 + b"0]}"),
        "config is too large": with_config(b"{}", size=9 << 20),
        "child lost": index("bad"),
    }.get(how, image("bad"))
    lab.push("app", "bad", content)
    (config,) = [digest for digest, blob in content.blobs.items() if b"{" in blob[:1]] or [""]
    if how == "schema 1":
        old = {"schemaVersion": 1, "name": "app", "tag": "bad", "architecture": "amd64", "fsLayers": [], "history": [], "signatures": []}
        schema_1 = dataclasses.replace(content, raw=to_json(old), media_type="application/vnd.docker.distribution.manifest.v1+prettyjws")
        lab.source.add(manifest_of(schema_1), target="/manifests/bad$")
    if how == "manifest lost":
        lab.source.add(status(404), target="/manifests/bad$")
    if how == "config lost":
        lab.source.add(status(404), target=f"/blobs/{config}$")
    if how == "storage damaged":
        lab.source.add(status(500), target=f"/blobs/{config}$")
    if how == "child lost":
        lab.source.add(status(404), target=f"/manifests/({'|'.join(child.digest for child in content.children)})$")


BAD = [
    "schema 1",
    "manifest lost",
    "config lost",
    "storage damaged",
    "child lost",
    "config is no JSON",
    "config is a list",
    "config is too deep",
    "config has too many values",
    "config is too large",
]


@pytest.mark.parametrize("how", BAD)
def test_unreadable_tag_fails_alone(how, lab):
    """The others are chosen by date and copied; the bad one is named, once; exit 1."""
    for name, created in (("a", "2026-01-01T00:00:00Z"), ("b", "2026-10-01T00:00:00Z"), ("c", NOVEMBER)):
        lab.push("app", name, image(name, created=created))
    spoil(lab, how)
    lab.declare("app", "tags: {newest: 2}")

    ran = lab.run("apply", "-o", "json")

    assert ran.code == 1, ran.stderr
    assert sorted(lab.served_tags("app")) == ["b", "c"]
    assert [error["reference"] for error in ran.json["errors"]] == [f"{lab.source.host}/{lab.name}/app:bad"]


def test_registry_that_fails_for_many_tags_selects_none(lab):
    """Without their dates, older tags would pass for the newest."""
    for name in "abc":
        lab.push("app", name, image(name))
    lab.source.add(status(503), target="/blobs/", method="GET")
    lab.declare("app", "tags: {newest: 2}", retry="{attempts: 1}")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 1
    assert ran.json["changes"] == []
    assert [error["reference"] for error in ran.json["errors"]] == [f"{lab.source.host}/{lab.name}/app"]


def test_date_is_read_from_the_declared_platform(lab):
    """A child that is not copied may be damaged."""
    content = lab.push("app", "a", index("a", created=NOVEMBER))
    other = next(child.digest for child in content.children if child.platform != "linux/arm64")
    lab.source.add(status(404), target=f"/manifests/{other}$")
    lab.declare("app", "tags: {newest: 1}\nplatforms: [linux/arm64]")

    ran = lab.run("plan", "-o", "json")

    assert ran.code == 0, ran.stdout
    assert [change["action"] for change in ran.json["changes"]] == ["create"]


def test_template_result_that_is_too_long_fails_its_tag(lab):
    """Exit 1, not 3: other tags and mirrors are copied, and plan prints its JSON."""
    lab.push("app", "t" * 120, image(1))
    lab.push("app", "1.0", image(2))
    lab.declare("app", "prune: true")
    declared = json.dumps({"registry": lab.destination.host, "namespace": "m", "tag": "{tag}-from-upstream"})
    file = lab.folder / "mirrors.d/a.yaml"
    file.write_text(file.read_text().replace(f"'{lab.destination.host}/m'", declared))

    planned, applied = lab.run("plan", "-o", "json"), lab.run("apply", "-o", "json")

    assert (planned.code, applied.code) == (1, 1)
    assert [error["reference"] for error in planned.json["errors"]] == [f"{lab.source.host}/{lab.name}/app:{'t' * 120}"]
    assert lab.served_tags("app") == ["1.0-from-upstream"]
