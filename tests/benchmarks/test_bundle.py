"""The benchmark of bundles says whether its goals are reached."""

from __future__ import annotations

import pytest

from benchmarks.bundle import Cargo, Runs, report
from benchmarks.timing import Figures


def runs(seconds: float, peak_mib: float = 60) -> Runs:
    """Return the figures of one run each way."""
    return Runs([Figures(seconds, 1, peak_mib, 0)], [Figures(seconds, 1, peak_mib, 0)])


@pytest.mark.parametrize(("own", "peak_mib", "reached"), [(10, 60, True), (11, 60, True), (12, 60, False), (10, 90, False)])
def test_goals_are_speed_and_memory(own, peak_mib, reached):
    """At least 0.9 times the speed of skopeo, in at most 80 MiB."""
    lines, found = report(Cargo(4, 25), {"imgsync": runs(own, peak_mib), "skopeo": runs(10)})

    assert found is reached
    assert f"| imgsync | {100 / own:.0f} | {100 / own:.0f} | 2.0 | {peak_mib} |" in lines
