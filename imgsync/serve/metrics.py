"""
`imgsync serve` as Prometheus metrics.

Labels are mirrors, senders of events and fixed words, never tags or digests: those would create too many series.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from imgsync import __version__
from imgsync.serve.board import Board
from imgsync.serve.model import Trigger
from imgsync.serve.views import BOUNDS, MirrorState, MirrorView, RunTotals, TagState

KIND = "text/plain; version=0.0.4; charset=utf-8"
_ENDINGS = ("succeeded", "failed", "stopped")
_DRIFT = (TagState.PENDING, TagState.HELD, TagState.REFUSED, TagState.FAILING, TagState.GONE)

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class ServeMetrics:
    """The metrics of a board."""

    def __init__(self, board: Board) -> None:
        """Read *board* at each rendering."""
        self._registry = CollectorRegistry()
        Info("imgsync_build", "Versions of imgsync and Python.", registry=self._registry).info({"version": __version__, "python": platform.python_version()})
        self._registry.register(_BoardCollector(board))

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)


class _BoardCollector(Collector):
    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterable[Family]:
        yield from _collect_mirrors(self._board.list_mirrors())
        yield from _collect_process(self._board)
        yield _collect_events(self._board)
        yield from _collect_runs(self._board.totals)


def _collect_mirrors(mirrors: Iterable[MirrorView]) -> Iterator[Family]:
    tags = GaugeMetricFamily("imgsync_mirror_tags", "Tags of a mirror, as last seen.", labels=["mirror"])
    drift = GaugeMetricFamily("imgsync_mirror_drift", "Tags of a mirror that are not in step, by state.", labels=["mirror", "state"])
    states = GaugeMetricFamily("imgsync_mirror_state", "1 for the state of a mirror, 0 for the others.", labels=["mirror", "state"])
    success = GaugeMetricFamily(
        "imgsync_mirror_last_success_timestamp_seconds", "Time when a mirror last ended with nothing failed, refused or left.", labels=["mirror"]
    )
    next_run = GaugeMetricFamily("imgsync_mirror_next_run_timestamp_seconds", "Time of the next run of a mirror.", labels=["mirror"])
    failures = GaugeMetricFamily("imgsync_mirror_consecutive_failures", "Runs of a mirror in a row that did not succeed.", labels=["mirror"])
    for mirror in mirrors:
        tags.add_metric([mirror.name], sum(mirror.counts.values()))
        failures.add_metric([mirror.name], mirror.failures)
        for state in _DRIFT:
            drift.add_metric([mirror.name, state.value], mirror.counts.get(state, 0))
        for one in MirrorState:
            states.add_metric([mirror.name, one.value], mirror.state is one)
        _add_moment(success, mirror.name, mirror.last_success)
        _add_moment(next_run, mirror.name, mirror.next_run)
    yield from (tags, drift, states, success, next_run, failures)


def _add_moment(family: GaugeMetricFamily, mirror: str, moment: datetime | None) -> None:
    if moment is not None:
        family.add_metric([mirror], moment.timestamp())


def _collect_process(board: Board) -> Iterator[Family]:
    configuration = board.configuration
    yield GaugeMetricFamily("imgsync_serve_running", "1 while a run is under way.", value=board.running is not None)
    yield GaugeMetricFamily("imgsync_serve_waiting", "Events and requests that wait for the next run.", value=board.waiting)
    yield GaugeMetricFamily("imgsync_serve_problems", "What does not work, besides mirrors.", value=len(board.problems))
    yield GaugeMetricFamily("imgsync_serve_configuration_valid", "1 if the newest configuration is in use, 0 if it has errors.", value=not configuration.errors)
    yield GaugeMetricFamily("imgsync_serve_configuration_fetch_ok", "1 if the configuration could be read or fetched.", value=not configuration.fault)
    if configuration.checked_at is not None:
        yield GaugeMetricFamily(
            "imgsync_serve_configuration_last_check_timestamp_seconds",
            "Time when the configuration was last read or fetched.",
            value=configuration.checked_at.timestamp(),
        )
    yield CounterMetricFamily("imgsync_serve_clock_jumps", "Jumps of the wall clock that were noticed.", value=board.clock_jumps)
    if board.lease is not None:
        yield GaugeMetricFamily("imgsync_serve_lease_held", "1 if this process may write.", value=board.lease.is_held)


def _collect_events(board: Board) -> Family:
    family = CounterMetricFamily("imgsync_serve_events", "Events received since the start, by result.", labels=["sender", "result"])
    for sender, counts in sorted(board.events.items()):
        family.add_metric([sender, "accepted"], counts.accepted)
        family.add_metric([sender, "irrelevant"], counts.irrelevant)
        family.add_metric([sender, "repeated"], counts.repeated)
        family.add_metric([sender, "refused"], sum(counts.refused.values()))
    return family


def _collect_runs(totals: RunTotals) -> Iterator[Family]:
    runs = CounterMetricFamily("imgsync_serve_runs", "Runs that ended since the start.", labels=["trigger", "result"])
    for trigger in Trigger:
        for ending in _ENDINGS:
            runs.add_metric([trigger.value, ending], totals.counts.get((trigger.value, ending), 0))
    yield runs
    bounds = [*map(str, BOUNDS), "+Inf"]
    buckets = [(bound, float(count)) for bound, count in zip(bounds, totals.durations, strict=True)]
    yield HistogramMetricFamily("imgsync_serve_run_duration_seconds", "Duration of runs.", buckets=buckets, sum_value=totals.seconds)
