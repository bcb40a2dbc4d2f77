"""`imgsync serve` over many days, and with many tags."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.figures import record
from tests.load.listed_registry import name_repository
from tests.load.running import listed_registry, names, quick_registry
from tests.load.test_load import remember_listed
from tests.support.effort import effort
from tests.support.serving import Serving

_ROOT = Path(__file__).parents[2]
_BERLIN = ZoneInfo("Europe/Berlin")
_REPOSITORIES, _TAGS = 6, 12


@pytest.mark.timeout(1800)
@pytest.mark.nightly
@pytest.mark.row("LOOP-06", "LOOP-09")
@pytest.mark.parametrize("start", ["2026-03-28T20:00:00", "2026-10-24T20:00:00"], ids=["spring", "autumn"])
def test_many_runs_leak_nothing_and_miss_no_moment(start, workplace):
    """Over a change of the clock, each moment has its run, and the last run holds as little as the third."""
    hours = effort(9, 480)
    runs = _run_through(workplace, start, hours)

    assert {run["exit_code"] for run in runs} == {0}
    moments = [datetime.fromisoformat(run["at"]).replace(microsecond=0) for run in runs if run["trigger"] == "schedule"]
    assert moments == _list_moments(start, hours)
    assert {run["copied"] for run in runs[5:]} == {_REPOSITORIES // 2 * _TAGS // 2}, "half of the tags of one mirror moved"
    early, late = runs[3], runs[-1]
    assert late["descriptors"] <= early["descriptors"]
    assert late["threads"] <= early["threads"]
    counted = [run["greenlets"] for run in runs if run["greenlets"] is not None]
    assert max(counted) <= 8
    assert late["rss_kib"] - early["rss_kib"] < 10 << 10
    kept = workplace.folder / ".imgsync/state/runs"
    assert len(list(kept.iterdir())) == min(500, len(runs))
    record(f"{len(runs)} runs of the service in one process: memory", (late["rss_kib"] - early["rss_kib"]) / 1024, unit="MiB", note="more than after the third")


def _run_through(workplace, start: str, hours: int) -> list[dict]:
    out = workplace.folder / "runs.jsonl"
    with quick_registry(_REPOSITORIES, _TAGS) as source, quick_registry() as destination:
        workplace.allow_plain_http(source.host, destination.host)
        for name, cron, paths in (("hourly", "17 * * * *", names(_REPOSITORIES)[:3]), ("nightly", "47 */2 * * *", names(_REPOSITORIES)[3:])):
            declared = {"registry": source.host, "repositories": paths}
            workplace.mirror(name, source=declared, destinations=[f"{destination.host}/m"], schedule={"cron": cron, "zone": "Europe/Berlin"})
        environment = workplace.environment({"PYTHONPATH": str(_ROOT), "MOVED": str(_TAGS // 2)})
        command = [sys.executable, "-m", "tests.load.accelerated", str(out), start, str(hours), source.host]
        done = subprocess.run(command, cwd=workplace.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in out.read_text().splitlines()]


def _list_moments(start: str, hours: int) -> list[datetime]:
    """Return each minute in which a mirror is due, by looking at the clock on the wall."""
    first = datetime.fromisoformat(f"{start}+00:00")
    minutes = (first + timedelta(minutes=number) for number in range(1, hours * 60 + 1))
    return [one for one in minutes if _is_due(one.astimezone(_BERLIN))]


def _is_due(wall: datetime) -> bool:
    return wall.minute == 17 or (wall.minute == 47 and wall.hour % 2 == 0)


@pytest.mark.timeout(900)
@pytest.mark.nightly
@pytest.mark.row("LOOP-09")
def test_service_with_many_tags_is_small_and_idle(workplace):
    """At rest it holds little and uses no processor; pages and metrics are quick."""
    repositories, tags = effort(2, 20), 1000
    with listed_registry(tags) as host:
        workplace.allow_plain_http(host)
        paths = [name_repository(number) for number in range(repositories)]
        workplace.mirror("load", source={"registry": host, "repositories": paths}, destinations=[f"{host}/m"], referrers=False)
        remember_listed(workplace, host, paths, tags)
        with Serving(workplace) as serving:
            serving.wait_for("run.ended", seconds=600)
            found = serving.get("/api/v1/mirrors").json()["mirrors"][0]
            assert (found["state"], found["counts"]["in_step"]) == ("in_step", repositories * tags)
            serving.get("/mirrors/load")
            took = {path: _measure(serving, path) for path in ("/", "/mirrors/load", "/metrics")}
            before = _count_ticks(serving.process.pid)
            time.sleep(effort(2, 20))
            used = (_count_ticks(serving.process.pid) - before) / effort(2, 20)
            resident = int(Path(f"/proc/{serving.process.pid}/statm").read_text().split()[1]) * 4 / 1024
    assert used <= 2.5, "hundredths of a second of processor time in a second"
    # The process of the tests is forked, with the suite's own modules.
    assert resident < 160
    assert all(seconds < 2 for seconds in took.values()), took
    note = f"{repositories * tags:,} tags"
    record("service at rest: memory", resident, unit="MiB", note=f"{note}; with the modules of the test suite")
    for path, seconds in took.items():
        record(f"service: {path}", seconds * 1000, unit="ms", note=note)


def _measure(serving: Serving, path: str) -> float:
    began = time.monotonic()
    assert serving.get(path).status_code == 200
    return time.monotonic() - began


def _count_ticks(pid: int) -> float:
    """Return the processor time of a process, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return float(fields[11]) + float(fields[12])
