"""
What a run came to, as Prometheus' text format, for node exporter's textfile collector or a Pushgateway.

All are gauges: they tell of the last run, and a file starts anew with each. Labels are mirrors, registries and fixed words, never a tag or
a digest: their number stays small.
"""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imgsync import __version__
from imgsync.apply.report import Report, Result
from imgsync.render.mirror_sections import merge_names

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_RESULTS = (Result.COPIED, Result.KEPT, Result.HELD, Result.REFUSED, Result.FAILED, Result.DELETED, Result.REMAINING)
_BLOBS = ("copied", "mounted", "present")


def render_metrics(
    report: Report,
    *,
    mirrors: Sequence[str],
    requests: Mapping[str, Mapping[str, Mapping[str, int]]],
    throttles: Mapping[str, int],
    last_success: Mapping[str, float],
    now: float,
    exit_code: int,
) -> str:
    """
    Return the metrics of a run that ended at *now* (seconds since the epoch) with *exit_code*.

    Args:
        report: What came of each change.

        mirrors: Every mirror of the run, also those of which the report says nothing.

        requests: How many requests there were, per side, registry and method.

        throttles: How often each registry asked for patience.

        last_success: When each mirror last ended with nothing failed, refused or left, in seconds since the epoch; those that never did are absent.

        now: When the run ended.

        exit_code: What the process ends with.
    """
    # Imported now: it brings an HTTP server and collectors of its own along.
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    names = merge_names(mirrors, (outcome.change.mirror for outcome in report.outcomes), (error.mirror for error in report.errors))
    _add_mirrors(registry, report, names)
    _add_registries(registry, requests, throttles)
    _add_run(registry, report, last_success, now=now, exit_code=exit_code)
    return generate_latest(registry).decode()


def _add_mirrors(registry: CollectorRegistry, report: Report, mirrors: Sequence[str]) -> None:
    from prometheus_client import Gauge

    results: Counter[tuple[str, str]] = Counter((outcome.change.mirror, outcome.result) for outcome in report.outcomes)
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for outcome in report.outcomes:
        for field in ("bytes_copied", *(f"blobs_{result}" for result in _BLOBS)):
            sums[outcome.change.mirror, field] += getattr(outcome, field)
    errors = Counter(error.mirror for error in report.errors)
    images = Gauge("imgsync_images", "Tags per result of the last run.", ["mirror", "result"], registry=registry)
    moved = Gauge("imgsync_transferred_bytes", "Bytes of blobs that the last run moved.", ["mirror"], registry=registry)
    blobs = Gauge("imgsync_blobs", "Blobs that the last run copied, mounted, or found to be there.", ["mirror", "result"], registry=registry)
    unplanned = Gauge("imgsync_plan_errors", "What the last run could not plan.", ["mirror"], registry=registry)
    for mirror in mirrors:
        for result in _RESULTS:
            images.labels(mirror, result).set(results[mirror, result])
        for way in _BLOBS:
            blobs.labels(mirror, way).set(sums[mirror, f"blobs_{way}"])
        moved.labels(mirror).set(sums[mirror, "bytes_copied"])
        unplanned.labels(mirror).set(errors[mirror])


def _add_registries(registry: CollectorRegistry, requests: Mapping[str, Mapping[str, Mapping[str, int]]], throttles: Mapping[str, int]) -> None:
    from prometheus_client import Gauge

    asked = Gauge("imgsync_registry_requests", "Requests of the last run.", ["registry", "side", "method"], registry=registry)
    for side, registries in requests.items():
        for name, methods in registries.items():
            for method, count in methods.items():
                asked.labels(name, side, method).set(count)
    throttled = Gauge("imgsync_registry_throttles", "How often a registry asked the last run for patience.", ["registry"], registry=registry)
    for name in merge_names((name for registries in requests.values() for name in registries), throttles):
        throttled.labels(name).set(throttles.get(name, 0))


def _add_run(registry: CollectorRegistry, report: Report, last_success: Mapping[str, float], *, now: float, exit_code: int) -> None:
    from prometheus_client import Gauge, Info

    Gauge("imgsync_run_duration_seconds", "How long the last run took.", registry=registry).set(report.seconds)
    Gauge("imgsync_run_last_completion_timestamp_seconds", "When the last run ended.", registry=registry).set(now)
    Gauge("imgsync_run_exit_code", "The exit code of the last run.", registry=registry).set(exit_code)
    succeeded = Gauge(
        "imgsync_mirror_last_success_timestamp_seconds", "When a mirror last ended with nothing failed, refused or left.", ["mirror"], registry=registry
    )
    for mirror, moment in last_success.items():
        succeeded.labels(mirror).set(moment)
    Info("imgsync_build", "The version of imgsync, and of Python.", registry=registry).info({"version": __version__, "python": platform.python_version()})
