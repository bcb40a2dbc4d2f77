"""What Prometheus gets: the metrics that alerts, dashboard and pages use, without a token."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from imgsync.serve.metrics import ServeMetrics
from tests.support.board import troubled_board
from tests.support.chart_tools import PROMTOOL, needs_promtool
from tests.support.web_server import web_server

ROOT = Path(__file__).parents[2]


def exported() -> dict[str, set[str]]:
    """Return the labels of each series of a board with something of everything."""
    families = text_string_to_metric_families(ServeMetrics(troubled_board()).render().decode())
    found: dict[str, set[str]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def used() -> Iterator[tuple[str, str]]:
    """Yield each query, and where it is."""
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"][0]["rules"]
    yield from ((rule["expr"], rule["alert"]) for rule in rules)
    dashboard = json.loads((ROOT / "deploy/grafana/imgsync.json").read_text())
    yield from ((target["expr"], panel["title"]) for panel in dashboard["panels"] for target in panel["targets"])
    yield from ((one["query"]["query"], one["name"]) for one in dashboard["templating"]["list"] if one["type"] == "query")
    yield from ((query, "alerts.md") for query in re.findall(r"`([^`]*imgsync_[^`]*)`", (ROOT / "docs/how-to/alerts.md").read_text()))


def test_every_metric_in_use_is_exported():
    """With the labels that select by."""
    there = exported()

    queries = list(used())
    assert len(queries) > 15
    for query, place in queries:
        for name, labels in re.findall(r"\b(imgsync_[a-z_]+)(?:\{([^}]*)\})?", query):
            assert name in there, f"{place}: {name}"
            assert set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", labels)) <= there[name] | {"job", "instance"}, f"{place}: {name}"


@needs_promtool
def test_promtool_finds_nothing_to_complain_about():
    """Names, units and help of all metrics."""
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=ServeMetrics(troubled_board()).render(), capture_output=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_prometheus_needs_no_token():
    """Also if the page is private, and has a name: Prometheus asks for an address."""
    with web_server(private=True, hosts=["imgsync.example.com"], loopback=False) as server:
        metrics = server.client().get("/metrics", headers={"Host": "10.1.2.3:8080"})
        page = server.client().get("/api/v1/status", headers={"Host": "10.1.2.3:8080"})

    assert metrics.status_code == 200
    assert "imgsync_build_info" in metrics.text
    assert page.status_code == 401
