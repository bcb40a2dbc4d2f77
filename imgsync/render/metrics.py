"""
A run as Prometheus metrics.

For the textfile collector of node exporter, or a Pushgateway. All metrics are gauges of the last run; each run replaces the file.
Labels are mirrors, registries and fixed words, never tags or digests: those would create too many series.
"""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from imgsync import __version__
from imgsync.apply.batch import RefusedReason
from imgsync.apply.report import Report, Result, SumsByMirror
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
    refused_messages: Mapping[str, int] | None = None,
) -> str:
    """
    Return the metrics of a run in Prometheus text format.

    Args:
        report: The report of the run.

        mirrors: Every mirror of the run, even if the report does not name it.

        requests: The number of requests by side, registry and method.

        throttles: The number of rate-limit responses by registry.

        last_success: The last time a mirror ended with nothing failed, refused or left, in seconds since the epoch. Mirrors that never did are
            absent.

        now: The end of the run, in seconds since the epoch.

        exit_code: The exit code of the process.

        refused_messages: The number of a fleet's messages that did nothing, by reason; None without a fleet.
    """
    # A late import: prometheus_client loads an HTTP server and its own collectors.
    from prometheus_client import CollectorRegistry, generate_latest

    registry, outcomes = CollectorRegistry(), report.sums
    names = merge_names(
        mirrors,
        (mirror for mirror, _ in outcomes),
        (kept.mirror for kept in report.kept if len(kept)),
        (error.mirror for error in report.errors),
        (tag.mirror for tag in report.gone),
    )
    _add_mirrors(registry, report, outcomes, names)
    _add_registries(registry, requests, throttles)
    _add_run(registry, report, last_success, now=now, exit_code=exit_code)
    if refused_messages is not None:
        _add_fleet(registry, refused_messages)
    return generate_latest(registry).decode()


def _add_mirrors(registry: CollectorRegistry, report: Report, outcomes: SumsByMirror, mirrors: Sequence[str]) -> None:
    from prometheus_client import Gauge

    results: Counter[tuple[str, str]] = Counter({place: found.count for place, found in outcomes.items()})
    results.update({(kept.mirror, Result.KEPT): len(kept) for kept in report.kept})
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    moved = [*((mirror, found) for (mirror, _), found in outcomes.items()), *((shared.mirror, shared) for shared in report.shared)]
    for mirror, one in moved:
        for field in ("bytes_copied", *(f"blobs_{result}" for result in _BLOBS)):
            sums[mirror, field] += getattr(one, field)
    errors = Counter((error.mirror, error.planned) for error in report.errors)
    gone = Counter(tag.mirror for tag in report.gone)
    images = Gauge("imgsync_images", "Tags by result in the last run.", ["mirror", "result"], registry=registry)
    transferred = Gauge("imgsync_transferred_bytes", "Bytes of blobs transferred in the last run.", ["mirror"], registry=registry)
    blobs = Gauge("imgsync_blobs", "Blobs copied, mounted or already present in the last run.", ["mirror", "result"], registry=registry)
    plan_errors = Gauge("imgsync_plan_errors", "Planning errors in the last run.", ["mirror"], registry=registry)
    apply_errors = Gauge("imgsync_apply_errors", "Shards and shared blobs of the last run that failed or are missing.", ["mirror"], registry=registry)
    gone_tags = Gauge("imgsync_gone_tags", "Tags that stay at a destination although the source no longer has them.", ["mirror"], registry=registry)
    for mirror in mirrors:
        gone_tags.labels(mirror).set(gone[mirror])
        for result in _RESULTS:
            images.labels(mirror, result).set(results[mirror, result])
        for way in _BLOBS:
            blobs.labels(mirror, way).set(sums[mirror, f"blobs_{way}"])
        transferred.labels(mirror).set(sums[mirror, "bytes_copied"])
        plan_errors.labels(mirror).set(errors[mirror, False])
        apply_errors.labels(mirror).set(errors[mirror, True])


def _add_registries(registry: CollectorRegistry, requests: Mapping[str, Mapping[str, Mapping[str, int]]], throttles: Mapping[str, int]) -> None:
    from prometheus_client import Gauge

    sent = Gauge("imgsync_registry_requests", "Requests in the last run.", ["registry", "side", "method"], registry=registry)
    for side, registries in requests.items():
        for name, methods in registries.items():
            for method, count in methods.items():
                sent.labels(name, side, method).set(count)
    throttled = Gauge("imgsync_registry_throttles", "Rate-limit responses in the last run.", ["registry"], registry=registry)
    for name in merge_names((name for registries in requests.values() for name in registries), throttles):
        throttled.labels(name).set(throttles.get(name, 0))


def _add_fleet(registry: CollectorRegistry, refused_messages: Mapping[str, int]) -> None:
    from prometheus_client import Gauge

    refused = Gauge("imgsync_fleet_refused_messages", "Messages of a fleet that did nothing in the last run.", ["reason"], registry=registry)
    for reason in RefusedReason:
        refused.labels(reason).set(refused_messages.get(reason, 0))


def _add_run(registry: CollectorRegistry, report: Report, last_success: Mapping[str, float], *, now: float, exit_code: int) -> None:
    from prometheus_client import Gauge, Info

    Gauge("imgsync_run_duration_seconds", "Duration of the last run.", registry=registry).set(report.seconds)
    Gauge("imgsync_run_last_completion_timestamp_seconds", "Time when the last run ended.", registry=registry).set(now)
    Gauge("imgsync_run_exit_code", "Exit code of the last run.", registry=registry).set(exit_code)
    succeeded = Gauge(
        "imgsync_mirror_last_success_timestamp_seconds", "Time when a mirror last ended with nothing failed, refused or left.", ["mirror"], registry=registry
    )
    for mirror, moment in last_success.items():
        succeeded.labels(mirror).set(moment)
    Info("imgsync_build", "Versions of imgsync and Python.", registry=registry).info({"version": __version__, "python": platform.python_version()})
