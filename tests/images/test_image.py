"""Manifests are read once; their type is their own registry's word."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from imgsync.images.image import ManifestCache
from imgsync.oci.spec.manifest import parse_manifest
from imgsync.oci.spec.media_types import DOCKER_MANIFEST, OCI_MANIFEST
from imgsync.oci.spec.reference import Repository
from tests import switches
from tests.support.images import Image, image, index, to_json


def without_type(content: Image) -> Image:
    """Return *content* as a manifest that does not declare its type."""
    document = json.loads(content.raw)
    del document["mediaType"]
    return Image(to_json(document), content.media_type, content.blobs, content.children)


def pushed_types(lab) -> dict[str, str]:
    """Return the types that manifests were pushed with, by tag or digest."""
    return {one.path.rpartition("/")[2]: one.headers["content-type"] for one in lab.destination.seen if one.method == "PUT" and "/manifests/" in one.path}


@pytest.mark.row("DIG-07")
def test_cached_type_belongs_to_its_repository():
    """Only a manifest that declares its type is shared between repositories."""
    cache = ManifestCache()
    bare, typed = (parse_manifest(one.raw, content_type=DOCKER_MANIFEST) for one in (without_type(image(1)), image(2)))
    ours, theirs = Repository("a.example", "app"), Repository("b.example", "app")
    cache.add(bare, theirs)
    cache.add(typed, theirs)

    assert cache.get(bare.digest, ours) is None
    assert cache.get(bare.digest, theirs) is bare
    assert cache.get(typed.digest, ours) is typed


@pytest.mark.parametrize("generic", ["application/json", "text/plain; charset=utf-8", None])
def test_manifest_of_a_generic_type_is_pushed_as_what_it_is(generic, lab):
    """The type comes from the document, not from the response."""
    lab.push("app", "bare", without_type(image(1)))
    lab.push("app", "typed", image(2))
    lab.source.add(switches.headers(Content_Type=generic), target="/manifests/")
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert pushed_types(lab) == {"bare": OCI_MANIFEST, "typed": OCI_MANIFEST}


def test_index_names_the_type_that_its_child_does_not(lab):
    """If the response does not name one either."""
    child = without_type(image(1))
    root = lab.push("app", "1", index(children=[child]))
    lab.source.add(switches.headers(Content_Type="application/json"), target="/manifests/")
    lab.declare("app")

    assert lab.run("apply").code == 0

    assert pushed_types(lab) == {child.digest: OCI_MANIFEST, "1": root.media_type}


def test_refused_manifest_names_its_type(lab):
    """So that a user knows what the registry does not accept."""
    lab.push("app", "1", image(1))
    lab.destination.add(switches.status(400, error="MANIFEST_INVALID"), method="PUT", target="/manifests/")
    lab.declare("app")

    ran = lab.run("apply")

    assert ran.code == 1
    assert f"pushed as {OCI_MANIFEST}" in ran.stdout


def test_mirrors_of_one_index_pull_its_parts_once(lab):
    """Mirrors that begin at the same moment share the pulls, which a registry may count."""
    content = lab.push("app", "1", index(1))
    lab.workplace.allow_plain_http(lab.source, lab.destination)
    for name in "abc":
        lab.workplace.mirror(name, source=f"{lab.source}/{lab.name}/app", destinations=[f"{lab.destination}/{name}"], referrers=False)
    lab.source.add(switches.Distance(0.2), target="/manifests/sha256:")
    lab.source.forget()

    assert lab.run("apply").code == 0

    pulled = Counter(lab.source.requests("GET .*/manifests/sha256:"))
    assert pulled == {f"GET /v2/{lab.name}/app/manifests/{child.digest}": 1 for child in content.children}
