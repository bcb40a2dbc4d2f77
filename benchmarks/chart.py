"""Draw the charts of docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.goals import OWN, Figures, value

_BLUE, _LIGHT, _GREY = "#1f5fa8", "#7fb0e0", "#b8b8b8"


def chart(name: str, work: Figures, folder: Path) -> None:
    """Draw the wall time of each tool in one scenario, for a desk and for a phone."""
    walls = {phase: [(value(one, phase, "wall"), one["tool"]) for one in work["results"] if one[phase]] for phase in ("cold", "unchanged")}
    height = 0.6 + 0.3 * len(work["results"])
    draw(walls, folder / f"{name}.svg", panels=(1, 2), size=(10, height))
    draw(walls, folder / f"{name}-narrow.svg", panels=(2, 1), size=(4.3, 2 * height))


def draw(walls: Mapping[str, Sequence[tuple[float, str]]], file: Path, *, panels: tuple[int, int], size: tuple[float, float]) -> None:
    """Draw the wall times of each phase in a panel of its own; *size* is in inches."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "imgsync", "font.family": "sans-serif", "font.size": 9})
    figure, drawn = plt.subplots(*panels, figsize=size, layout="constrained")
    for panel, (phase, found) in zip(drawn, walls.items(), strict=True):
        shown = sorted(found, reverse=True)
        colours = [_BLUE if tool == OWN else _LIGHT if tool.startswith(OWN) else _GREY for _, tool in shown]
        bars = panel.barh([tool for _, tool in shown], [wall for wall, _ in shown], color=colours)
        panel.bar_label(bars, fmt="%.2f", padding=3)
        panel.set_title(f"{phase}, seconds (less is better)", loc="left", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.15)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    plt.close(figure)
