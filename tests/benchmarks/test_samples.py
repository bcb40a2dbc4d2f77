"""A cache that does not work shows in the bytes that were read."""

from __future__ import annotations

import pytest

from benchmarks.samples import describe_broken_caches
from tests.benchmarks.figures import document, result, work

TOOLS = document()["tools"]


@pytest.mark.parametrize(("read", "count"), [(188.9e6, 0), (200e6, 0), (4279.6e6, 1)])
def test_reading_a_shared_base_again_is_named(read, count):
    """The bytes of skopeo 1.9.3 with its cache, and of a build without cgo."""
    found = list(describe_broken_caches(work(result("skopeo sync", 5.0, read=read), unique=188.9e6), TOOLS))

    assert len(found) == count
    assert all("skopeo sync ran without a working cache: it read 4,280 MB, and the images have 189 MB." in sentence for sentence in found)


def test_tools_without_a_cache_are_not_named():
    """They read the base for each image, as they always do."""
    assert list(describe_broken_caches(work(result("crane", 5.0, read=4280e6)), TOOLS)) == []


def test_one_run_without_the_cache_is_enough():
    """A median would hide it."""
    runs = result("skopeo sync", 5.0, 5.0, 5.0, read=10e6)
    runs["cold"][1]["source_bytes"] = 90_000_000

    assert len(list(describe_broken_caches(work(runs, unique=10e6), TOOLS))) == 1


def test_figures_without_the_facts_name_nothing():
    """Files of earlier benchmarks have neither `unique_bytes` nor `tools`."""
    assert list(describe_broken_caches({"results": [result("skopeo sync", 5.0)]}, {})) == []
