"""`apply --dry-run` is `plan`."""

from __future__ import annotations

import pytest

from tests.support.images import image


def test_dry_run_prints_the_plan(lab):
    """Same output, same exit codes; nothing is copied."""
    lab.push("app", "1", image())
    lab.declare("app")

    dry, planned = lab.run("apply", "--dry-run"), lab.run("plan")

    assert dry.code == planned.code == 0
    assert [line for line in dry.stdout.splitlines() if "requests" not in line] == [line for line in planned.stdout.splitlines() if "requests" not in line]
    assert lab.served_tags("app") == []


def test_dry_run_checks_the_safety_limits(lab):
    """As `apply` with the same options would."""
    lab.push("app", "1", image())
    lab.declare("app")

    ran = lab.run("apply", "--dry-run", "--max-changes", "0")

    assert ran.code == 1
    assert "1 to create" in ran.stdout
    assert "more than --max-changes 0" in ran.stderr


def test_dry_run_writes_no_report(lab):
    """Nothing was applied that it could report."""
    lab.push("app", "1", image())
    lab.declare("app")

    ran = lab.run("apply", "--dry-run", "--report", "report.html")

    assert ran.code == 0
    assert "note: nothing is applied, so no report file is written" in ran.stderr
    assert not (lab.folder / "report.html").exists()


def test_dry_run_of_a_saved_plan_is_an_error(lab):
    """It would make another plan."""
    lab.declare("app")

    ran = lab.run("apply", "--dry-run", "--plan", "plan.json")

    assert ran.code == 3
    assert "hint: `imgsync show FILE` prints the saved plan" in ran.stderr


@pytest.mark.parametrize("option", ["-f", "--file"])
def test_file_option_is_the_path(option, lab):
    """As users of kubectl write it."""
    lab.declare("app")
    (lab.folder / "mirrors.d" / "b.yaml").write_text((lab.folder / "mirrors.d" / "a.yaml").read_text().replace("name: a", "name: b"))

    assert "1 file, 1 mirror" in lab.run("validate", option, "mirrors.d/b.yaml").stdout
    assert "2 files, 2 mirrors" in lab.run("validate", "mirrors.d/a.yaml", option, "mirrors.d/b.yaml").stdout
