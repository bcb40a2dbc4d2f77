"""Workers read their own files for each run, and copy nothing that these do not declare and allow."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.fleet.conftest import wait_for

# A shared machine starts processes slowly.
pytestmark = pytest.mark.timeout(400)


def test_worker_reads_its_files_for_each_run(fleet):
    """A worker that was started for another declaration copies what is declared now, with the settings of now."""
    fleet.push(2, base=0)
    fleet.declare("one")
    # Without plain http for the destination.
    fleet.lab.workplace.allow_plain_http(fleet.lab.source)
    fleet.start_workers(1)
    fleet.declare("two")

    assert fleet.coordinate().code == 0
    fleet.assert_all_served("two")


@pytest.mark.row("GIT-14")
def test_worker_with_other_files_copies_nothing(fleet):
    """The report and the log say why, and the metric counts it; the next run, with the same files, copies all."""
    fleet.push(2, base=0)
    fleet.declare("one")
    other = fleet.lab.folder / "other"
    shutil.copytree(fleet.lab.folder / "mirrors.d", other / "mirrors.d")
    shutil.copy(fleet.lab.folder / "registries.yaml", other)
    fleet.workers.append(fleet.lab.start("worker", *fleet.options, cwd=other))
    wait_for(lambda: fleet.broker.count_consumers(fleet.queue) == 1)
    fleet.declare("two")

    done = fleet.coordinate("--metrics", "metrics.txt")

    assert done.code == 1
    assert "made for another declaration of the mirror 'a'" in done.stdout
    assert {event["level"] for event in done.events("batch.answered")} == {"warning"}
    assert f":{fleet.workers[0].pid} refused it" in done.stdout
    assert fleet.metric("imgsync_fleet_refused_messages")['{reason="batch"}'] >= 1
    assert not fleet.lab.destination.recorded("(POST|PUT)")
    shutil.copytree(fleet.lab.folder / "mirrors.d", other / "mirrors.d", dirs_exist_ok=True)
    settings = json.loads((fleet.lab.folder / "registries.yaml").read_text())
    (other / "registries.yaml").write_text(json.dumps(settings | {"allow": {"destinations": ["elsewhere.example"]}}))
    assert "is not allowed by registries.yaml" in fleet.coordinate().stdout
    shutil.copy(fleet.lab.folder / "registries.yaml", other)
    assert fleet.coordinate().code == 0
    fleet.assert_all_served("two")
