"""The simulation of the documentation, with few tags."""

from __future__ import annotations

from benchmarks.shards import divide_by_repository, divide_by_tag, divide_in_two_phases, make_corpus


def test_two_phases_send_each_blob_once():
    """And are even, where other divisions send base images to several shards."""
    corpus = make_corpus(3_000, seed=1)

    phases, blobs, of_bytes = divide_in_two_phases(corpus, 4)

    assert phases.factor == 1
    assert phases.skew < 1.03
    assert divide_by_tag(corpus, 4).factor > divide_by_repository(corpus, 4).factor > 1.05
    assert blobs < of_bytes < 0.1


def test_same_seed_makes_the_same_corpus():
    """So that the page can be written again."""
    one, other = make_corpus(500, seed=7), make_corpus(500, seed=7)

    assert (one.sizes, one.tags) == (other.sizes, other.tags)
