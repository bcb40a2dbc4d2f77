"""The metrics of a run, named as Prometheus recommends."""

from __future__ import annotations

import re

from hypothesis import given
from prometheus_client.parser import text_string_to_metric_families

from imgsync import __version__
from imgsync.apply.report import Report
from imgsync.plan.model import PlanError
from imgsync.render.metrics import render_metrics
from tests.support.plans import RESULTS, report, reports

_UNITS = ("_seconds", "_bytes")


def families(some: Report, **fields: object):
    known = {
        "mirrors": ("a", "idle"),
        "requests": {"source": {"s.io": {"GET": 3, "HEAD": 4}}, "destination": {"r.io": {"PUT": 2}, "s.io": {"GET": 1}}},
        "throttles": {"r.io": 2},
        "last_success": {"idle": 1_700_000_000.5},
        "now": 1_700_000_100.0,
        "exit_code": 1,
    }
    return {family.name: family for family in text_string_to_metric_families(render_metrics(some, **{**known, **fields}))}


def values(family) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels[name] for name in sorted(sample.labels)): sample.value for sample in family.samples}


def test_every_mirror_has_every_result_with_zeroes():
    """So that no alert waits for a missing series."""
    found = families(report())

    assert values(found["imgsync_images"]) == {
        **{("a", result): 1.0 for result in RESULTS},
        **{(mirror, result): 0.0 for mirror in ("idle", "b") for result in RESULTS},
    }
    assert values(found["imgsync_blobs"])["a", "copied"] == 3.0
    assert values(found["imgsync_blobs"])["idle", "mounted"] == 0.0
    assert values(found["imgsync_transferred_bytes"]) == {("a",): float(5 << 20), ("b",): 0.0, ("idle",): 0.0}
    assert values(found["imgsync_plan_errors"]) == {("a",): 0.0, ("b",): 1.0, ("idle",): 0.0}
    assert values(found["imgsync_apply_errors"]) == {("a",): 0.0, ("b",): 0.0, ("idle",): 0.0}


def test_errors_of_applying_are_no_planning_errors():
    """A shard that is missing raises its own alert."""
    found = families(Report("", (), (PlanError("a", "shard 2/2", "missing", planned=True),)))

    assert values(found["imgsync_plan_errors"]) == {("a",): 0.0, ("idle",): 0.0}
    assert values(found["imgsync_apply_errors"]) == {("a",): 1.0, ("idle",): 0.0}


def test_metrics_of_registries_and_the_run():
    """Requests per registry, side and method; throttling; exit code and last success."""
    found = families(report())

    assert values(found["imgsync_registry_requests"]) == {
        ("GET", "s.io", "source"): 3.0,
        ("HEAD", "s.io", "source"): 4.0,
        ("PUT", "r.io", "destination"): 2.0,
        ("GET", "s.io", "destination"): 1.0,
    }
    assert values(found["imgsync_registry_throttles"]) == {("r.io",): 2.0, ("s.io",): 0.0}
    assert values(found["imgsync_run_duration_seconds"]) == {(): 75.4}
    assert values(found["imgsync_run_last_completion_timestamp_seconds"]) == {(): 1_700_000_100.0}
    assert values(found["imgsync_mirror_last_success_timestamp_seconds"]) == {("idle",): 1_700_000_000.5}
    assert values(found["imgsync_run_exit_code"]) == {(): 1.0}
    assert [sample.labels["version"] for sample in found["imgsync_build_info"].samples] == [__version__]


def test_metric_names_follow_the_rules():
    """One prefix, base units last, help for each, no `_total` gauges, no timestamps."""
    text = render_metrics(report(), mirrors=(), requests={}, throttles={}, last_success={}, now=1.0, exit_code=0)

    for family in text_string_to_metric_families(text):
        assert re.fullmatch("imgsync_[a-z][a-z0-9_]*", family.name)
        assert family.documentation
        assert family.type == "gauge"
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_created"))
        assert not re.search("_(milli|micro|kilo|mega|kibi|mebi|minutes|hours|ms)", family.name)
        assert not any(unit in family.name for unit in _UNITS) or family.name.endswith(_UNITS)
        assert all(sample.timestamp is None for sample in family.samples)
    assert text.endswith("\n")


def test_metrics_hold_one_run_only():
    """Neither the process's own metrics nor those of an earlier run."""
    assert render_metrics(report(), mirrors=("x",), requests={}, throttles={}, last_success={}, now=1.0, exit_code=0).count('mirror="x"') == 14
    assert 'mirror="x"' not in render_metrics(report(), mirrors=(), requests={}, throttles={}, last_success={}, now=1.0, exit_code=0)
    assert "process_" not in render_metrics(report(), mirrors=(), requests={}, throttles={}, last_success={}, now=1.0, exit_code=0)


@given(reports)
def test_sums_are_those_of_the_report(some: Report):
    """For any names the file parses and its numbers add up."""
    found = families(some)

    assert sum(values(found["imgsync_images"]).values()) == len(some.outcomes)
    assert sum(sample.value for sample in found["imgsync_blobs"].samples if sample.labels["result"] == "copied") == some.total("blobs_copied")
    assert sum(sum(values(found[f"imgsync_{kind}_errors"]).values()) for kind in ("plan", "apply")) == len(some.errors)
    assert sum(values(found["imgsync_gone_tags"]).values()) == len(some.gone)
