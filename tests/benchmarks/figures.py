"""Figures of the benchmark as its JSON file has them, made up for tests."""

from __future__ import annotations

from typing import Any


def sample(wall: float = 1.0, *, cpu: float = 0.5, read: float = 10e6, wrong: int = 0, asked: int = 5) -> dict[str, Any]:
    """Return one run."""
    moved = {"source_bytes": int(read), "written_bytes": 10, "wrong": wrong}
    return {"wall": wall, "cpu": cpu, "peak": 50.0, "source": {"GET blob": asked}, "destination": {"PUT upload": asked}, **moved}


def result(tool: str, *walls: float, unchanged: float | None = 0.2, **figures: Any) -> dict[str, Any]:
    """Return the runs of one tool: a cold one for each of *walls*."""
    again = [] if unchanged is None else [sample(unchanged) for _ in walls]
    return {"tool": tool, "work": "any", "cold": [sample(wall, **figures) for wall in walls], "unchanged": again}


def work(*results: dict[str, Any], title: str = "40 images; loopback", unique: float = 10e6) -> dict[str, Any]:
    """Return one scenario."""
    return {"title": title, "unique_bytes": int(unique), "results": list(results)}


def document(**works: dict[str, Any]) -> dict[str, Any]:
    """Return all figures; `_` in the names of *works* stands for `-`."""
    return {
        "machine": {"processors": "2 × test", "memory": "1 GiB", "kernel": "6", "python": "3.11"},
        "versions": {"imgsync": "0.1.0", "skopeo": "1.9.3"},
        "builds": {"skopeo": "Debian package 1.9.3, go1.19.8 with cgo"},
        "registries": {"docker-registry": "2.8.2"},
        "tools": {"skopeo sync": {"how": "`--all`", "caches": True}, "imgsync": {"how": "64", "caches": False}},
        "works": {name.replace("_", "-"): one for name, one in works.items()},
    }
