"""Manifests go with a batch as far as they are held and fit; the others a worker reads itself."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from imgsync.fleet import make_batch
from imgsync.fleet.cut import Part, UnitPart
from imgsync.fleet.make_batch import BatchMaker
from imgsync.images.image import ManifestCache
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from tests.support.batches import RUN
from tests.support.plans import OTHER, change, plan


def _manifest(number: int) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": OTHER, "size": number + 1},
        "layers": [],
    }
    return parse_manifest(json.dumps(document).encode())


def _make(cache: ManifestCache, manifests: list[Manifest]):
    """Return the batch of one image for each of *manifests*, which planning read in this order."""
    changes = tuple(change(tag=f"t{number}", source_digest=one.digest) for number, one in enumerate(manifests))
    for one, manifest in zip(changes, manifests, strict=True):
        cache.add(manifest, one.source.repository)
    nothing = SimpleNamespace(find_blob_repositories=lambda *_: (), was_interrupted=False, get_listed=lambda *_: None)
    context = SimpleNamespace(state=nothing, manifests=cache, referrers=SimpleNamespace(tags=nothing), refresh=False)
    config = SimpleNamespace(mirrors=[SimpleNamespace(name=changes[0].mirror, declaration_digest="sha256:0")])
    maker = BatchMaker(RUN, plan(*changes), config, context, filled=frozenset())
    return maker.make(Part(units=(UnitPart(0, tuple(range(len(changes))), changes),)), number=1, attempt=1, workers=1, budget_seconds=600.0)


@pytest.mark.parametrize("limit", ["held", "message"])
def test_manifests_over_a_limit_do_not_go_with_the_batch(monkeypatch, limit):
    """Neither those that the coordinator no longer holds, nor those that do not fit into the message."""
    manifests = [_manifest(number) for number in range(3)]
    most = 2 * manifests[0].size_bytes
    if limit == "message":
        monkeypatch.setattr(make_batch, "_MANIFEST_BYTES", most)

    batch = _make(ManifestCache(most if limit == "held" else 1 << 20), manifests)

    assert len(batch.changes) == 3
    assert list(batch.manifests) == (manifests[1:] if limit == "held" else manifests[:2])
