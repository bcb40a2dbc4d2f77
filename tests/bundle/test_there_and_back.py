"""What one side creates, the other side loads."""

from __future__ import annotations

import pytest

from tests.support.images import DOCKER, artifact, image, index, layer
from tests.support.signing import sig_tag


def run(lab, *arguments, code=0):
    """Run imgsync; return the result."""
    result = lab.run(*arguments)
    assert result.code == code, result.stderr + result.stdout
    return result


def test_images_arrive_as_they_were(lab):
    """Indexes, Docker types, signatures and artifacts, of several repositories in several volumes."""
    images = {
        ("app", "1"): lab.push("app", "1", index(1, layer_bytes=200_000)),
        ("app", "2"): lab.push("app", "2", image(2, kind=DOCKER, layer_bytes=300_000)),
        ("deep/er", "1"): lab.push("deep/er", "1", image(3, shared=layer("base", 2_000_000))),
        ("deep/er", "2"): lab.push("deep/er", "2", image(4, shared=layer("base", 2_000_000))),
        ("art", "1"): lab.push("art", "1", artifact(1)),
    }
    signature = lab.push("app", sig_tag(images["app", "1"].digest), image("sig", layers=1))
    lab.declare("app deep/er art", "referrers: true\ntags: {exclude: ['sha256-*']}")
    run(lab, "bundle", "create", "--out", "out", "--volume-size", "1MiB")
    assert lab.destination.requests() == []
    lab.source.forget()

    run(lab, "bundle", "load", "out")

    for (repository, tag), content in images.items():
        lab.assert_served(repository, tag, content)
    lab.assert_served("app", sig_tag(images["app", "1"].digest), signature)
    assert lab.source.requests() == []


@pytest.mark.parametrize("by", ["have", "since", "state"])
def test_following_bundles_complete_each_other(lab, by):
    """By an inventory, a bundle or a state: what is left out is found at the destination, and new signatures arrive."""
    base = layer("base", 100_000)
    one = lab.push("app", "1", image(1, shared=base))
    lab.declare("app other", "referrers: true\ntags: {exclude: ['sha256-*']}")
    lab.push("other", "0", image(0))
    run(lab, "bundle", "create", "--out", "first")
    run(lab, "bundle", "load", "first")
    two, three = lab.push("app", "2", image(2, shared=base)), lab.push("other", "3", image(3, shared=base))
    signature = lab.push("app", sig_tag(one.digest), image("sig", layers=1))
    options = {"have": ("--have", "inside.json"), "since": ("--since", "first"), "state": ("--have", "state.jsonl")}[by]
    if by == "have":
        run(lab, "inventory", f"{lab.destination.host}/m/{lab.name}", "--out", "inside.json")
    elif by == "state":
        run(lab, "state", "export", "state.jsonl")
    summary = run(lab, "bundle", "create", "--out", "second", *options, "-o", "json").json
    lab.source.forget()

    run(lab, "bundle", "load", "second")

    assert summary["bundle"]["images"] == 3
    assert summary["bundle"]["size_bytes"] < len(base)
    for repository, tag, content in (("app", "1", one), ("app", "2", two), ("other", "3", three), ("app", sig_tag(one.digest), signature)):
        lab.assert_served(repository, tag, content)
    assert lab.source.requests() == []


def test_reduced_index_arrives(lab):
    """An index of which one platform is carried."""
    content = lab.push("app", "1", index(1))
    lab.declare("app", "platforms: [linux/arm64]")
    run(lab, "bundle", "create", "--out", "out")

    run(lab, "bundle", "load", "out")

    assert lab.served_manifest("app", content.children[1].digest) == content.children[1].raw
    assert lab.served_digest("app", "1") not in {None, content.digest}
