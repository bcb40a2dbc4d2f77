"""The metrics of `imgsync serve`."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from imgsync.serve.metrics import ServeMetrics
from tests.support import board as boards


def samples(board: boards.TestBoard) -> dict[tuple[str, ...], float]:
    """Return the value of each series, by its name and labels, which are sorted."""
    text = ServeMetrics(board).render().decode()
    return {
        (one.name, *(one.labels[name] for name in sorted(one.labels))): one.value for family in text_string_to_metric_families(text) for one in family.samples
    }


def test_mirrors_have_state_drift_and_times():
    """Tags by state, 1 for the current state, and no time that is not known."""
    found = samples(boards.busy_board())

    assert found["imgsync_mirror_tags", "kubernetes"] == 155
    assert found["imgsync_mirror_drift", "kubernetes", "pending"] == 2
    assert found["imgsync_mirror_drift", "kubernetes", "failing"] == 0
    assert found["imgsync_mirror_state", "postgres", "failing"] == 1
    assert found["imgsync_mirror_state", "postgres", "in_step"] == 0
    assert found["imgsync_mirror_consecutive_failures", "postgres"] == 4
    assert found["imgsync_mirror_last_success_timestamp_seconds", "vendor"] == boards.ago(hours=5).timestamp()
    assert ("imgsync_mirror_last_success_timestamp_seconds", "new-team") not in found
    assert ("imgsync_mirror_next_run_timestamp_seconds", "archive") not in found


def test_process_has_runs_events_and_configuration():
    """Every series is there from the start, so that alerts can count from 0."""
    board = boards.troubled_board()
    board.totals.add(boards.Trigger.EVENT, "failed", 3.0)
    found = samples(board)

    assert found["imgsync_serve_runs_total", "failed", "event"] == 1
    assert found["imgsync_serve_runs_total", "succeeded", "schedule"] == 0
    assert found["imgsync_serve_run_duration_seconds_bucket", "2.0"] == 0
    assert found["imgsync_serve_run_duration_seconds_bucket", "+Inf"] == 1
    assert found[("imgsync_serve_run_duration_seconds_sum",)] == 3.0
    assert found["imgsync_serve_events_total", "refused", "hub"] == 2
    assert found[("imgsync_serve_running",)] == 1
    assert found[("imgsync_serve_problems",)] == 1
    assert found[("imgsync_serve_configuration_valid",)] == 0
    assert found[("imgsync_serve_configuration_fetch_ok",)] == 1
    assert found[("imgsync_serve_lease_held",)] == 1
    assert found[("imgsync_serve_clock_jumps_total",)] == 0


def test_no_lease_means_no_series():
    """So that an alert on it is silent without one."""
    assert ("imgsync_serve_lease_held",) not in samples(boards.busy_board())
