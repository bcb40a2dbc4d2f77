"""
Simulate how a plan is divided: bytes that move twice, and how even the shards are.

    python -m benchmarks.shards [--tags 1000000] [--seed 1]

Nothing is copied. The images are made up, as large mirrors have them: repositories on base images, which many share, with a history of tags. The
division itself is the program's own (`imgsync.partition`). docs/explanation/scale.md shows the result.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from imgsync.partition.spread import spread
from imgsync.plan.shards import REQUEST_BYTES

SHARDS = (4, 16, 64)
TAGS = (1_000, 10_000, 100_000, 1_000_000)
_TAGS_PER_REPOSITORY = 50
_REPOSITORIES_PER_BASE = 40
_BASE_LAYERS = 5
# How many tags of a repository stand on one version of its base, and on one layer of dependencies.
_TAGS_PER_VERSION = 10
_TAGS_PER_DEPENDENCY = 5
_VERSIONS = 40
_MEBIBYTE = 1 << 20
_CONFIG_BYTES = 6 << 10
_REQUESTS_PER_TAG = 8


@dataclass(slots=True)
class Corpus:
    """Blobs by number: their sizes, and the tags that need them."""

    sizes: list[int] = field(default_factory=list)
    # Of each tag: its repository and its blobs.
    tags: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def add(self, size_bytes: float) -> int:
        """Add a blob and return its number."""
        self.sizes.append(max(1, int(size_bytes)))
        return len(self.sizes) - 1


def make_corpus(tags: int, seed: int) -> Corpus:
    """Return about *tags* tags, the same for the same *seed*."""
    chance, corpus = random.Random(seed), Corpus()
    repositories = max(2, tags // _TAGS_PER_REPOSITORY)
    bases = max(2, repositories // _REPOSITORIES_PER_BASE)
    # A few bases carry most repositories.
    popularity = [1 / (rank + 1) for rank in range(bases)]
    layers: dict[tuple[int, int], tuple[int, ...]] = {}
    # Half of the repositories have less than a third of the mean, a few have thousands of tags.
    counts = [chance.lognormvariate(0, 1.5) for _ in range(repositories)]
    scale = tags / sum(counts)
    for repository, base in enumerate(chance.choices(range(bases), popularity, k=repositories)):
        first, dependency = chance.randrange(_VERSIONS // 2), 0
        for number in range(max(1, round(counts[repository] * scale))):
            version = min(_VERSIONS - 1, first + number // _TAGS_PER_VERSION)
            if (base, version) not in layers:
                layers[base, version] = tuple(corpus.add(chance.lognormvariate(2.3, 1) * _MEBIBYTE) for _ in range(_BASE_LAYERS))
            if number % _TAGS_PER_DEPENDENCY == 0:
                dependency = corpus.add(chance.lognormvariate(2.5, 1) * _MEBIBYTE)
            own = corpus.add(chance.lognormvariate(2, 1.2) * _MEBIBYTE)
            corpus.tags.append((repository, (*layers[base, version], dependency, own, corpus.add(_CONFIG_BYTES))))
    return corpus


@dataclass(frozen=True, slots=True)
class Division:
    """What one way to divide costs: bytes sent as a multiple of the unique ones, and the largest share as a multiple of the mean."""

    factor: float
    skew: float


def divide_by_tag(corpus: Corpus, count: int) -> Division:
    """Give each tag to the next shard; each shard knows only itself."""
    return _measure_alone(corpus, [number % count for number in range(len(corpus.tags))], count)


def divide_by_repository(corpus: Corpus, count: int) -> Division:
    """Give whole repositories to shards, the largest first; each shard knows only itself."""
    weights: Counter[str] = Counter()
    for (repository, blobs), news in zip(corpus.tags, _iter_new(corpus), strict=True):
        weights[str(repository)] += sum(corpus.sizes[blob] for blob in news) + REQUEST_BYTES * len(blobs)
    shares = spread(weights, count)
    return _measure_alone(corpus, [shares[str(repository)] for repository, _ in corpus.tags], count)


def divide_in_two_phases(corpus: Corpus, count: int) -> tuple[Division, float, float]:
    """
    Divide as `imgsync apply --shard` does.

    Returns the division, and which part of all blobs and of all bytes is shared.
    """
    users = [-1] * len(corpus.sizes)
    shared: set[int] = set()
    for repository, blobs in corpus.tags:
        for blob in blobs:
            if users[blob] not in {-1, repository}:
                shared.add(blob)
            users[blob] = repository
    bytes_shared = sum(corpus.sizes[blob] for blob in shared)
    weights: Counter[str] = Counter()
    sent = bytes_shared
    for (repository, _), news in zip(corpus.tags, _iter_new(corpus), strict=True):
        own_bytes = sum(corpus.sizes[blob] for blob in news if blob not in shared)
        weights[str(repository)] += own_bytes + REQUEST_BYTES * _REQUESTS_PER_TAG
        sent += own_bytes
    loads = [0] * count
    for name, share in spread(weights, count).items():
        loads[share] += weights[name]
    of_shared = {str(blob): corpus.sizes[blob] + 3 * REQUEST_BYTES for blob in shared}
    first = [0] * count
    for name, share in spread(of_shared, count).items():
        first[share] += of_shared[name]
    # The phases follow each other: each is as long as its largest share.
    skew = (max(loads) + max(first)) / ((sum(loads) + sum(first)) / count)
    return Division(sent / sum(corpus.sizes), skew), len(shared) / len(corpus.sizes), bytes_shared / sum(corpus.sizes)


def _iter_new(corpus: Corpus) -> Iterator[list[int]]:
    """Yield the blobs of each tag that no earlier tag of its repository has."""
    # The tags of a repository are side by side.
    seen: set[int] = set()
    last = -1
    for repository, blobs in corpus.tags:
        if repository != last:
            seen, last = set(), repository
        news = [blob for blob in blobs if blob not in seen]
        seen.update(news)
        yield news


def _measure_alone(corpus: Corpus, shares: Sequence[int], count: int) -> Division:
    """Return the cost if each shard sends every blob of its tags once."""
    sent = [0] * count
    seen: set[int] = set()
    for (_, blobs), share in zip(corpus.tags, shares, strict=True):
        for blob in blobs:
            if (key := blob * count + share) not in seen:
                seen.add(key)
                sent[share] += corpus.sizes[blob]
    return Division(sum(sent) / sum(corpus.sizes), max(sent) / (sum(sent) / count))


def main() -> None:
    """Print what was made up, then one row per number of tags and shards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, action="append", help="repeatable; default: 1,000 to 1,000,000")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    made, costs = [], []
    for tags in options.tags or TAGS:
        corpus = make_corpus(tags, options.seed)
        repositories = len({repository for repository, _ in corpus.tags})
        for count in SHARDS:
            by_tag, by_repository = divide_by_tag(corpus, count), divide_by_repository(corpus, count)
            phases, blobs, of_bytes = divide_in_two_phases(corpus, count)
            factors = " | ".join(f"{one.factor:.2f} ×" for one in (by_tag, by_repository, phases))
            costs.append(f"| {tags:,} | {count} | {factors} | {phases.skew:.2f} × |")
        made.append(f"| {tags:,} | {repositories:,} | {len(corpus.sizes):,} | {sum(corpus.sizes) / 1e12:.2f} TB | {blobs:.1%} | {of_bytes:.1%} |")
    print("\n".join(("| tags | repositories | blobs | bytes | shared blobs | shared bytes |", "|---|---|---|---|---|---|", *made)))
    print()
    print("\n".join(("| tags | shards | by tag | by repository | two phases | largest shard |", "|---|---|---|---|---|---|", *costs)))


if __name__ == "__main__":
    main()
