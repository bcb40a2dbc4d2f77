"""The documents of a bundle are as their schemas say, and the schemas describe them."""

from __future__ import annotations

import copy
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from imgsync.bundle.document import encode_bundle
from imgsync.bundle.model import BundleReferrer, Expected
from imgsync.bundle.placement import place
from imgsync.config.schema_files import read_schema
from tests.support.bundles import Cargo, make_cargo, write_bundle, write_placement

_MIB = 1 << 20


@pytest.fixture(scope="module")
def cargo() -> Cargo:
    """Images with a blob that is cut."""
    return make_cargo(2, shared_bytes=1_500_000)


def schema(name: str) -> Draft202012Validator:
    """Return the schema *name*, itself valid."""
    document = json.loads(read_schema(name))
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def test_document_of_a_bundle_fits_its_schema(tmp_path, cargo):
    """With all that it may hold; without one of its fields it does not fit."""
    (first, second) = cargo.contents
    image = first.image
    expected = Expected(f"sha256:{'e' * 64}", 5, ("mirror/app",), f"sha256:{'f' * 64}")
    referrers = (BundleReferrer(image.digest, expected.digest, "application/x", "sha256-0.sig"),)
    contents = [replace(first, image=replace(image, referrers=referrers)), second]
    placement = place(contents, volume_bytes=_MIB, expects=[expected], parent=f"sha256:{'a' * 64}", inventory=f"sha256:{'b' * 64}")
    document = json.loads(encode_bundle(write_placement(tmp_path, placement, cargo.data)))

    validator = schema("bundle")

    assert list(validator.iter_errors(document)) == []
    for remove in _list_removals(document):
        changed = copy.deepcopy(document)
        remove(changed)
        assert list(validator.iter_errors(changed)), changed


def _list_removals(document: dict) -> list[Callable[[dict], object]]:
    """Return functions that remove one field each, or add one."""
    own = [lambda one, name=name: one.pop(name) for name in document]
    nested = [lambda one, group=group, name=name: one[group][0].pop(name) for group in ("images", "expects", "volumes") for name in document[group][0]]
    return [*own, *nested, lambda one: one.update(extra=1), lambda one: one["blobs"][0].pop("digest"), lambda one: one["blobs"][0].update(volume=0)]


def test_document_in_a_volume_fits_its_schema(tmp_path, cargo):
    """Of each volume, also with parts of blobs."""
    bundle = write_bundle(tmp_path, cargo, volume_bytes=_MIB)
    validator = schema("bundle-volume")
    parts = 0
    for volume in bundle.volumes:
        with tarfile.open(tmp_path / volume.file) as archive:
            document = json.load(archive.extractfile("imgsync-volume.json"))
        assert list(validator.iter_errors(document)) == []
        parts += len(document["parts"])

    assert parts == sum(len(blob.parts) for blob in bundle.blobs) > 1


@pytest.mark.parametrize("name", ["bundle", "bundle-volume"])
def test_every_field_has_a_description(name):
    """And unknown fields are refused, as the reader does."""
    for path, part in _list_objects(json.loads(read_schema(name))):
        if "properties" in part:
            assert part["additionalProperties"] is False, path
            for key, field in part["properties"].items():
                assert field.get("description"), f"{path}/{key}"


def _list_objects(part: object, path: str = ""):
    if isinstance(part, dict):
        yield path, part
        for key, value in part.items():
            yield from _list_objects(value, f"{path}/{key}")
    elif isinstance(part, list):
        for number, value in enumerate(part):
            yield from _list_objects(value, f"{path}/{number}")
