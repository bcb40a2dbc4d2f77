"""`apply`: its question, and `--dry-run`."""

from __future__ import annotations

import re

import pytest

from tests.support.images import image
from tests.support.terminal import CTRL_C, Terminal, record
from tests.switches import Hold


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


@pytest.fixture
def app(lab):
    """Declare one image that is not mirrored yet."""
    lab.push("app", "1", image(lab.name))
    lab.workplace.allow_plain_http(lab.source_registry, lab.destination_registry)
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=[f"{lab.destination_registry}/m"])
    return lab


_QUESTION = r"Apply these changes\? \[y/N\]"


@pytest.mark.parametrize("answer", ["y\r", " YES\r"])
def test_plan_is_applied_once_approved(answer, app):
    """The plan, then the question, then the copies."""
    with Terminal(app.workplace, "apply", columns=100) as terminal:
        shown = terminal.wait_for(_QUESTION)
        # Nothing began before the answer: the destination has no trace of it.
        assert app.served_tags("app") == []
        terminal.press(answer)
        recording = terminal.finish()

    assert "1 to create" in shown
    assert recording.code == 0
    assert app.served_tags("app") == ["1"]


@pytest.mark.parametrize("answer", ["\r", "maybe\r", "\x04", "y\x04"], ids=["enter", "maybe", "ctrl-d", "y-ctrl-d"])
def test_any_other_answer_changes_nothing(answer, app):
    """Exit 1, since the changes were refused."""
    with Terminal(app.workplace, "apply") as terminal:
        terminal.wait_for(_QUESTION)
        terminal.press(answer)
        recording = terminal.finish()

    assert recording.code == 1
    assert recording.text.splitlines()[-1] == "Not applied. Nothing was changed."
    assert "error" not in recording.text
    assert "hint" not in recording.text
    assert app.served_tags("app") == []


def test_interrupt_at_the_question_changes_nothing(app):
    """Exit 75, as for every first Ctrl-C."""
    with Terminal(app.workplace, "apply", columns=120) as terminal:
        terminal.wait_for(_QUESTION)
        terminal.press(CTRL_C)
        recording = terminal.finish()

    assert recording.code == 75
    assert "error: stopped before the plan was approved: interrupted; nothing was changed" in recording.text
    assert "Ctrl-C again" not in recording.text
    assert re.search(rf"{_QUESTION}.*\nerror: ", recording.text)
    assert app.served_tags("app") == []


def test_time_limit_ends_the_question(app):
    """The time limit is that of the run, question included."""
    recording = record(app.workplace, "apply", "--run-timeout", "2s", columns=120)

    assert recording.code == 75
    assert "the run's time is up; nothing was changed" in recording.text
    assert app.served_tags("app") == []


def test_what_was_typed_before_is_no_answer(app):
    """A key pressed while planning must not approve a plan that was not seen."""
    app.workplace.allow_plain_http(app.source, app.destination_registry)
    app.workplace.mirror("a", source=f"{app.source}/{app.name}/app", destinations=[f"{app.destination_registry}/m"])
    planning = app.source.add(Hold())
    with Terminal(app.workplace, "apply") as terminal:
        planning.reached()
        terminal.press("y\r")
        planning.release()
        terminal.wait_for(_QUESTION)
        terminal.press("\r")

        assert terminal.finish().code == 1


@pytest.mark.parametrize("option", ["-y", "--yes", "--auto-approve"])
def test_yes_is_not_asked(option, app):
    """Each of its three names."""
    recording = record(app.workplace, "apply", option)

    assert recording.code == 0
    assert "[y/N]" not in recording.text
    assert app.served_tags("app") == ["1"]


def test_ci_is_not_asked(app):
    """Some CI systems give their jobs a terminal."""
    assert record(app.workplace, "apply", CI="true").code == 0


def test_saved_plan_is_not_asked(app):
    """It was reviewed; `apply --plan` applies exactly that."""
    app.run("plan", "--out", "plan.json")

    assert record(app.workplace, "apply", "--plan", "plan.json").code == 0
    assert app.served_tags("app") == ["1"]


def test_plan_without_changes_is_not_asked(app):
    """There is nothing to approve."""
    app.run("apply")
    recording = record(app.workplace, "apply")

    assert recording.code == 0
    assert "[y/N]" not in recording.text


def test_question_shows_the_plan_beside_json(app):
    """stdout is for the report alone, but a plan that is not shown cannot be approved."""
    with Terminal(app.workplace, "apply", "-o", "json") as terminal:
        assert "1 to create" in terminal.wait_for(_QUESTION)


def test_piped_input_is_not_read(app):
    """Without a terminal there is no question, as before."""
    ran = app.run("apply", input="n\n")

    assert ran.code == 0
    assert "[y/N]" not in ran.stderr
