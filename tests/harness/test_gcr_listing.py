"""Listings in Google's form show what the real registry holds."""

from __future__ import annotations

from tests.support.gcr_listing import GcrListing
from tests.support.images import image, index, plain_client, push


def _listing(source, path: str) -> dict:
    with plain_client(source) as http:
        return http.get(f"/v2/{path}tags/list").json()


def test_listing_holds_children_digests_sizes_and_dates(lab):
    """Folders below, and each manifest with its tags."""
    one = lab.push("app", "1", image(1))
    lab.push("app", "latest", one)
    two = lab.push("app", "2", index(2))
    lab.push("app/deep/er", "1", one)
    lab.source.add(GcrListing(lab.source_registry), method="GET")

    listing = _listing(lab.source, f"{lab.name}/app/")

    assert (listing["child"], listing["name"], listing["tags"]) == (["deep"], f"{lab.name}/app", ["1", "2", "latest"])
    assert set(listing["manifest"]) == {one.digest, two.digest, *(child.digest for child in two.children)}
    assert listing["manifest"][one.digest] == {
        "imageSizeBytes": str(one.size_bytes),
        "layerId": "",
        "mediaType": one.media_type,
        "tag": ["1", "latest"],
        "timeCreatedMs": "1767225600000",
        "timeUploadedMs": "1767225600000",
    }
    assert [listing["manifest"][child.digest]["tag"] for child in two.children] == [[], []]


def test_root_and_folders_have_children_and_no_tags(lab):
    """An unknown path is 404."""
    lab.push("app", "1", image(1))
    lab.source.add(GcrListing(lab.source_registry), method="GET")

    assert lab.name in _listing(lab.source, "")["child"]
    assert _listing(lab.source, f"{lab.name}/") == {"child": ["app"], "manifest": {}, "name": lab.name, "tags": []}
    assert _listing(lab.source, f"{lab.name}/none/")["errors"][0]["code"] == "NAME_UNKNOWN"


def test_artifact_registry_knows_neither_size_nor_creation(lab):
    """Both are the text 0; only the upload has a date."""
    one = push(lab.source_registry, lab.name, "1", image(1))
    lab.source.add(GcrListing(lab.source_registry, artifact_registry=True), method="GET")

    entry = _listing(lab.source, f"{lab.name}/")["manifest"][one.digest]

    assert (entry["imageSizeBytes"], entry["timeCreatedMs"], entry["timeUploadedMs"]) == ("0", "0", "1767225600000")


def test_other_requests_reach_the_registry(lab):
    """Manifests come from the registry."""
    one = push(lab.source_registry, lab.name, "1", image(1))
    lab.source.add(GcrListing(lab.source_registry), method="GET")

    with plain_client(lab.source) as http:
        assert http.get(f"/v2/{lab.name}/manifests/1", headers={"Accept": one.media_type}).content == one.raw
