"""What the benchmark measures, and what a run's bytes say about its cache."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

# Manifests and a few repeated blobs are no sign of a broken cache; a base that is read for each image is.
_READS_TWICE = 1.25


@dataclass(slots=True)
class Sample:
    """One run: figures, requests by kind, bytes moved, and wrong tags."""

    wall: float
    cpu: float
    peak: float
    source: dict[str, int]
    destination: dict[str, int]
    source_bytes: int
    written_bytes: int
    wrong: int = 0
    http2: int = 0
    """How many of the requests were HTTP/2."""
    code: int = 0
    """The exit code."""
    registries_cpu: float = 0.0
    """The CPU seconds of all registries."""


@dataclass(slots=True)
class Result:
    """All runs of one tool in one scenario; a floor has no unchanged runs."""

    tool: str
    work: str
    cold: list[Sample] = field(default_factory=list)
    unchanged: list[Sample] = field(default_factory=list)


def median(samples: Sequence[Sample], name: str) -> float:
    """Return the median of one figure."""
    return statistics.median(getattr(sample, name) for sample in samples)


def describe_broken_caches(work: dict[str, Any], tools: dict[str, Any]) -> Iterator[str]:
    """
    Yield a sentence for each tool whose cache did not work.

    *work* is one scenario of the figures, and *tools* are the tools that the figures describe. Figures without these facts yield nothing.
    """
    least = work.get("unique_bytes")
    for result in work["results"] if least else ():
        read = max(sample["source_bytes"] for sample in result["cold"])
        if tools.get(result["tool"], {}).get("caches") and read > _READS_TWICE * least:
            yield f"{result['tool']} ran without a working cache: it read {read / 1e6:,.0f} MB, and the images have {least / 1e6:,.0f} MB."
