"""The alerts and the dashboard: tried by promtool, the same in the chart, with metrics that imgsync exports."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import linters
from tests.support.chart_tools import PROMTOOL, needs_promtool, needs_tools
from tests.support.rendered_chart import CHART, render

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
TESTS = ALERTS.with_name("alerts.test.yaml")
DASHBOARD = ROOT / "deploy" / "grafana" / "imgsync.json"
PAGE = ROOT / "docs" / "how-to" / "alerts.md"


def promtool(*arguments: str | Path) -> str:
    """Run promtool; it has to be content."""
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, object]]:
    """Return the alerts."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    """Yield each query of the alerts and of the dashboard, with a value for each variable of Grafana."""
    yield from (str(rule["expr"]) for rule in rules())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (re.sub(r"\$(job|mirror|state)\b", ".*", target["expr"]) for target in panel["targets"])


@needs_promtool
def test_alerts_fire_when_they_should():
    """Each at its minute, for its mirror, with its text; promtool reads its clock and its series."""
    assert "SUCCESS: 3 rules found" in promtool("check", "rules", ALERTS)
    assert "SUCCESS" in promtool("test", "rules", TESTS)


def test_every_alert_is_tried():
    """Once where it fires, once where it must not."""
    tried = [one for test in yaml.safe_load(TESTS.read_text())["tests"] for one in test["alert_rule_test"]]

    for rule in rules():
        outcomes = {bool(one["exp_alerts"]) for one in tried if one["alertname"] == rule["alert"]}
        assert outcomes == {True, False}, rule["alert"]


def test_alerts_of_the_chart_are_the_same():
    """And so is the dashboard."""
    assert (CHART / "files/alerts.yaml").read_text() == ALERTS.read_text()
    assert (CHART / "files/dashboard.json").read_text() == DASHBOARD.read_text()


@needs_tools
def test_rendered_rule_has_these_alerts():
    """Helm does not read the templates of Prometheus in them."""
    rendered = render("serve-two-replicas")

    assert rendered.find("PrometheusRule")["spec"] == yaml.safe_load(ALERTS.read_text())
    (dashboard,) = rendered.find("ConfigMap", "mirrors-dashboard")["data"].values()
    assert json.loads(dashboard) == json.loads(DASHBOARD.read_text())


@needs_promtool
def test_queries_of_the_dashboard_are_valid(tmp_path):
    """As Prometheus reads them."""
    queries = list(expressions())
    (tmp_path / "rules.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "a", "rules": [{"record": f"a:{n}", "expr": text} for n, text in enumerate(queries)]}]})
    )

    assert len(queries) == 5
    promtool("check", "rules", tmp_path / "rules.yaml")


def test_dashboard_has_two_panels():
    """Each with a data source that the user chooses, and an id of its own."""
    document = json.loads(DASHBOARD.read_text())

    assert [panel["title"] for panel in document["panels"]] == ["Drift by mirror", "Time since the last success"]
    assert len({panel["id"] for panel in document["panels"]}) == 2
    for panel in document["panels"]:
        assert {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])} == {"${datasource}"}
    assert "id" not in document


@pytest.mark.parametrize("path", [ALERTS, TESTS], ids=lambda path: path.name)
def test_files_for_prometheus_are_tidy(path):
    """By yamllint."""
    linters.yaml_is_tidy(path)


def test_page_explains_every_alert():
    """Under a heading of its own."""
    headings = re.findall(r"^## (Imgsync\w+)$", PAGE.read_text(), re.MULTILINE)

    assert headings == [rule["alert"] for rule in rules()]
