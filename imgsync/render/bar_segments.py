"""The parts of a bar that shows counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from imgsync.system.dataclass import dataclass

_MIN_PERCENT = 1.5


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar, in percent of its width."""

    kind: str
    begin: str
    width: str


def make_segments(counts: Mapping[str, int], *, digits: int) -> Iterator[Segment]:
    """
    Yield a part for each count that is not zero.

    They are in the order of *counts*. One of 20,000 is still visible. *digits* follow the point of each number.
    """
    total = sum(counts.values())
    widths = {kind: max(_MIN_PERCENT, 100 * count / total) for kind, count in counts.items() if count}
    scale = 100 / sum(widths.values()) if widths else 0
    begin = 0.0
    for kind, width in widths.items():
        yield Segment(kind, f"{begin * scale:.{digits}f}", f"{width * scale:.{digits}f}")
        begin += width
