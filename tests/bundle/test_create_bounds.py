"""Bundles are hardly larger than what they carry."""

from __future__ import annotations

import json

import pytest

from tests import figures
from tests.support.effort import effort
from tests.support.images import image, layer

_KIB = 1 << 10


def create(lab, *options, out):
    """Create a bundle; return its summary, and the bytes of its folder."""
    result = lab.run("bundle", "create", "--out", out, "-o", "json", *options, timeout=600)
    assert result.code == 0, result.stderr
    return result.json["bundle"], sum(path.stat().st_size for path in (lab.folder / out).iterdir())


def test_shared_layers_are_carried_once(lab):
    """40 images on one base: the volumes have hardly more than the unique bytes."""
    base = layer("shared", 2_000_000)
    images = [lab.push(f"app{number % 4}", f"{number}", image(("on base", number), shared=base, layer_bytes=30_000)) for number in range(40)]
    unique = {digest: len(content) for one in images for digest, content in (one.all_blobs | one.manifests).items()}
    lab.declare("app0 app1 app2 app3")

    summary, _ = create(lab, "--volume-size", "1MiB", out="out")

    assert summary["blobs"] == len(unique)
    assert len(summary["volumes"]) > 4
    assert summary["size_bytes"] <= 1.005 * sum(unique.values()) + 64 * _KIB * len(summary["volumes"])
    assert all(volume["size_bytes"] <= 1 << 20 for volume in summary["volumes"])


@pytest.mark.nightly
def test_one_new_tag_is_a_small_bundle(lab):
    """One tag more than the other side has: its new blobs, and at most 256 KiB."""
    count = effort(30, 1000)
    base = layer("shared", 500_000)
    for number in range(count):
        lab.push("app", f"{number}", image(("old", number), layers=1, shared=base))
    lab.declare("app")
    create(lab, out="all")
    assert lab.run("apply", timeout=600).code == 0
    assert lab.run("inventory", f"{lab.destination.host}/m/{lab.name}", "--out", "inside.json", timeout=600).code == 0
    new = lab.push("app", "new", image("new", layers=1, shared=base, layer_bytes=100_000))
    new_bytes = sum(len(content) for content in new.all_blobs.values()) - len(base)

    for options in (("--since", "all"), ("--have", "inside.json")):
        summary, size_bytes = create(lab, *options, out=options[1] + ".out")

        assert summary["images"] == 1
        assert summary["expects"] == 1
        assert size_bytes <= new_bytes + 256 * _KIB
        figures.record(f"bundle of one new tag on {count:,}, by {options[0]}, beyond its new blobs", size_bytes - new_bytes, unit="bytes")
    inventory = json.loads((lab.folder / "inside.json").read_bytes())
    assert len(inventory["repositories"][0]["tags"]) == count


def test_large_layers_take_little_memory(lab):
    """What is carried streams through: memory hardly grows with it."""
    peaks = []
    for name, layer_bytes in (("small", 1000), ("large", effort(12, 100) << 20)):
        for number in range(2):
            lab.push(name, f"{number}", image((name, number), layers=2, layer_bytes=layer_bytes))
        lab.declare(name)
        result = lab.run("bundle", "create", "--out", name, "--volume-size", "16MiB", timeout=600)
        assert result.code == 0
        # With the pages that it shares with the process that starts it.
        peaks.append(result.peak_bytes)

    assert peaks[1] - peaks[0] <= 36 << 20
