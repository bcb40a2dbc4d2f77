"""Make the HTML report that the documentation shows."""

from __future__ import annotations

import json
from typing import Any

from docs.stage.scenes import prepare_picture
from docs.stage.shell import Shell

_MIRROR = """\
version: 1
mirrors:
  - name: monitoring
    source: quay.io/prometheus/prometheus
    tags: {names: [v3.5.0, v3.6.0, v4.0.0]}
    destinations: [registry.example.com/mirror]
"""
# What such images cost in bytes and seconds, and how many blobs were sent and were there: the images of the stage are small, their times differ from run
# to run, and of two images with one base, either may send it.
_COSTS = {
    "kube-apiserver:v1.33.6": (28_640_201, 2.9, 5, 0),
    "kube-apiserver:v1.34.1": (21_118_440, 2.2, 3, 2),
    "library/debian:trixie-slim": (29_780_333, 3.4, 3, 2),
    "prometheus/prometheus:v3.5.0": (118_530_771, 9.6, 3, 2),
    "prometheus/prometheus:v3.6.0": (97_402_118, 8.1, 3, 2),
}
_SECONDS = 14.7


def make_report(shell: Shell) -> str:
    """Return the HTML report of a run that copied most, and could not plan one tag."""
    stage = shell.stage
    prepare_picture(shell)
    stage.store("quay.io/prometheus/prometheus", "v3.5.0", "v3.6.0")
    stage.write("mirrors.d/monitoring.yaml", _MIRROR)
    report = json.loads((shell.run("imgsync apply -o json  # exit code 1") or "").splitlines()[0])
    _set_costs(report)
    stage.write("report.json", json.dumps(report))
    return shell.run("imgsync show report.json -o html") or ""


def _set_costs(report: dict[str, Any]) -> None:
    copied = [one for one in report["outcomes"] if one["result"] == "copied"]
    for outcome in copied:
        image = outcome["destination"].removeprefix("registry.example.com/mirror/")
        outcome["bytes_copied"], outcome["seconds"], outcome["blobs_copied"], outcome["blobs_present"] = _COSTS[image]
    report["summary"] |= {"bytes_copied": sum(one["bytes_copied"] for one in copied), "seconds": _SECONDS}
