"""Schedules of other tools become `schedule`."""

from __future__ import annotations

import json

import pytest

from imgsync.config.schedule import Schedule
from imgsync.convert.conversion import Conversion, ConvertOptions
from imgsync.convert.convert_files import convert_files

HARBOR = {
    "name": "rule",
    "enabled": True,
    "dest_registry": {"id": 2, "name": "other", "type": "docker-registry", "url": "https://other.example.com"},
    "filters": [{"type": "name", "value": "library/alpine"}],
}


@pytest.fixture
def convert(tmp_path):
    """Convert one file, given as text."""

    def run(text: str) -> Conversion:
        file = tmp_path / "peer.yml"
        file.write_text(text, encoding="utf-8")
        return convert_files([str(file)], options=ConvertOptions(variables={"HARBOR": "harbor.example.com"}))

    return run


def write_regsync(step: str = "", defaults: str = "") -> str:
    """Return a file of regsync with one step."""
    head = f"version: 1\ndefaults: {{{defaults}}}\n" if defaults else "version: 1\n"
    return f"{head}sync:\n  - {{source: alpine, target: registry.internal/alpine, type: repository{', ' if step else ''}{step}}}\n"


@pytest.mark.parametrize(
    ("step", "defaults", "expected"),
    [
        ("", "", None),
        ("interval: 60m", "", Schedule(every_seconds=3600)),
        ("interval: 1h30m", "interval: 60m", Schedule(every_seconds=5400)),
        ("", "interval: 12h", Schedule(every_seconds=43200)),
        ("schedule: '17 3 * * *'", "", Schedule("17 3 * * *")),
        ("schedule: '17 3 * * *'", "schedule: '1 1 * * *'", Schedule("17 3 * * *")),
        ("", "schedule: '1 1 * * *', interval: 1h", Schedule("1 1 * * *")),
        ("interval: 1h", "schedule: '1 1 * * *'", Schedule("1 1 * * *")),
        ("schedule: '@daily'", "", Schedule("0 0 * * *")),
        ("schedule: '@every 1h15m'", "", Schedule(every_seconds=4500)),
        ("schedule: 'CRON_TZ=Europe/Berlin 0 5 * * ?'", "", Schedule("0 5 * * *", "Europe/Berlin")),
        ("schedule: 'TZ=UTC @hourly'", "", Schedule("0 * * * *")),
        ("schedule: '0 5 * * MON-FRI'", "", Schedule("0 5 * * MON-FRI")),
    ],
)
def test_schedule_of_regsync_is_kept(step, defaults, expected, convert):
    """A schedule comes before an interval, and the step before `defaults`."""
    conversion = convert(write_regsync(step, defaults))

    assert [mirror.schedule for mirror in conversion.mirrors] == [expected]
    assert [remark.lost for remark in conversion.remarks] == [False] * (expected is not None)


@pytest.mark.parametrize(
    "step",
    ["schedule: nonsense", "schedule: '61 * * * *'", "schedule: 'TZ=Nowhere/Here 0 5 * * *'", "interval: 1s", "interval: soon", "schedule: '@every x'"],
)
def test_schedule_that_cannot_be_is_a_loss(step, convert):
    """With what is wrong, and the mirror without one."""
    conversion = convert(write_regsync(step))

    assert conversion.mirrors[0].schedule is None
    assert [(remark.lost, remark.message.startswith("the schedule cannot be converted: ")) for remark in conversion.remarks] == [(True, True)]


@pytest.mark.parametrize(("interval", "expected"), [("interval: 600,", Schedule(every_seconds=600)), ("interval: 0,", None), ("", None)])
def test_interval_of_dregsy_is_in_seconds(interval, expected, convert):
    """0 means once."""
    mappings = "[{from: x/y, platform: all}, {from: x/z, platform: all}]"
    task = f"{{name: a, {interval} source: {{registry: a.io}}, target: {{registry: b.io}}, mappings: {mappings}}}"

    assert [mirror.schedule for mirror in convert(f"tasks:\n  - {task}\n").mirrors] == [expected] * 2


@pytest.mark.parametrize(
    ("trigger", "expected", "lost"),
    [
        ({"type": "manual"}, None, []),
        ({"type": "scheduled", "trigger_settings": {"cron": "0 30 2 * * 1"}}, Schedule("30 2 * * 1"), [False]),
        ({"type": "scheduled", "trigger_settings": {"cron": "0 0 25 * * *"}}, None, [True]),
        ({"type": "event_based", "trigger_settings": {"cron": ""}}, None, [True]),
    ],
)
def test_trigger_of_harbor_is_a_schedule_or_a_hint(trigger, expected, lost, convert):
    """Its seconds are left out; events need a webhook."""
    conversion = convert(json.dumps([HARBOR | {"trigger": trigger}]))

    assert conversion.mirrors[0].schedule == expected
    remarks = [remark for remark in conversion.remarks if "trigger" in remark.path]
    assert [remark.lost for remark in remarks] == lost
    assert trigger["type"] != "event_based" or "webhook" in remarks[0].hint
