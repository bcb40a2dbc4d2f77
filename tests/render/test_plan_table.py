"""What is printed: log lines are data, tables fit their readers, secrets and control characters show nowhere."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.apply.report import Outcome, Report, Result
from imgsync.config.model import Config, RegistriesConfig
from imgsync.documents.envelope import to_json
from imgsync.documents.plan import plan_document
from imgsync.documents.report import report_document
from imgsync.logs.configure import configure_logging
from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError
from imgsync.render.plan_table import render_plan_table
from imgsync.render.report_table import render_report_table
from imgsync.text.redaction import Redaction
from imgsync.text.sanitize import sanitize_short
from tests.support.plans import reference

DIGEST = "sha256:" + "a" * 64


def change(action: Action = Action.CREATE, tag: str = "1", *, destination: str = "r.io/m/app", reason: str = "not at the destination") -> Change:
    return Change(action, "a", reference(f"s.io/app:{tag}"), DIGEST, reference(f"{destination}:{tag}"), None, "x/y", 1 << 20, reason)


def plan(*changes: Change, errors: tuple[PlanError, ...] = (), **notes: object) -> Plan:
    return Plan(changes, errors, (MirrorNotes("a", "s.io", ("r.io/m",), "mirrors.d/a.yaml", 3, **notes),), requests=(("source", 4), ("destination", 0)))


def table(some: Plan, *, show_kept: bool = False, explain: bool = False) -> str:
    return render_plan_table(some, show_kept=show_kept, explain=explain)


def logged(form: str = "json", *, level: str = "debug", secrets: tuple[str, ...] = (), **fields: object) -> str:
    stream, redaction = io.StringIO(), Redaction()
    redaction.hide(secrets)
    configure_logging(level=level, form=form, stream=stream, redaction=redaction).info("image.copied", **fields)
    return stream.getvalue()


def test_log_lines_are_json_with_the_promised_head():
    """timestamp (UTC, RFC 3339), level and event come first, then the fields in their order."""
    line = json.loads(logged(mirror="a", seconds=1.5, error=None))

    assert list(line) == ["timestamp", "level", "event", "mirror", "seconds", "error"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"]) == ("info", "image.copied")


def test_log_level_is_a_threshold():
    """What is below it is not written."""
    assert logged(level="warning") == ""


@pytest.mark.row("OUT-07")
@given(st.text())
def test_no_field_breaks_a_log_line(text):
    """Whatever a registry says, a line stays one line, of JSON or for people."""
    assert json.loads(logged(error=text))["error"] == text
    assert logged(error=text).count("\n") == 1
    assert len(logged("console", error=text).splitlines()) == 1


@pytest.mark.parametrize("secret", ["hunter2!", 'quo"te', "info"])
def test_secrets_show_in_no_line_of_the_log(secret):
    """Whatever is logged; the names of its fields stay."""
    assert json.loads(logged(secrets=(secret,), error=f"denied: {secret}"))["error"] == "denied: ***"


@given(st.text())
def test_safe_text_obeys_no_terminal(text):
    """No control, no direction override, no line break."""
    shown = sanitize_short(text)

    assert "\n" not in shown
    assert not {"\x1b", "\x07", "\r", "\u202e", "\u2028", "\u200b"} & set(shown)


def test_table_shows_what_would_change_and_why():
    """Sign, short name, action, size and reason; kept tags as a count; a sum."""
    shown = table(plan(change(), change(Action.UPDATE, "2", reason="source moved a → b"), change(Action.KEEP, "3")))

    assert "a   s.io → r.io/m   mirrors.d/a.yaml:3" in shown
    assert "  + app:1   create      1.0 MiB   not at the destination" in shown
    assert "  ~ app:2   update      1.0 MiB   source moved a → b" in shown
    assert "  = 1 tag up to date (--all lists them)" in shown
    assert "1 to create, 1 to update, 1 up to date." in shown
    assert "app:3" not in shown


def test_table_names_destinations_that_the_heading_does_not_tell():
    """Another repository or tag at the destination is written out."""
    assert "app:1 → r.io/other:1" in table(plan(change(destination="r.io/other")))


def test_table_of_an_unchanged_plan_is_one_line():
    """Nothing to do, what it cost to know."""
    assert table(plan(change(Action.KEEP))) == "No changes. 1 tag up to date (0 destination requests, 4 source requests, 0.0s).\n"
    assert "app:1" in table(plan(change(Action.KEEP)), show_kept=True)


def test_table_shows_errors_refusals_and_suspended_mirrors():
    """Errors with their hint, refusals with their reason; what is suspended is said to be."""
    error = PlanError("a", "s.io/x", "list tags of s.io/x (source): 401 \x1b[31m", "log in")
    shown = table(plan(change(Action.REFUSE, reason="tag is declared immutable: a → b"), errors=(error,)))

    assert "  ! app:1   refuse" in shown
    assert "  x s.io/x   error   list tags of s.io/x (source): 401 \\x1b[31m" in shown
    assert "hint: log in" in shown
    assert "1 refused, 1 error, 0 up to date" in shown
    assert "suspended: nothing is planned" in table(plan(suspended=True))


def test_documents_are_indented_for_people_alone():
    """One line for pipes; the same content either way."""
    document = plan_document(plan(change()), Config((), RegistriesConfig()), explain=False)

    assert "\n" not in to_json(document, indented=False)
    assert json.loads(to_json(document, indented=True)) == json.loads(to_json(document, indented=False))


def test_report_says_what_failed_first_and_what_is_left():
    """Failures with their hint, then the sums; the document carries the plan's errors too."""
    failed = Outcome(change(), Result.FAILED, error="push blob r.io/m/app (destination): 507", hint="free some space", attempts=4)
    copied = Outcome(change(tag="2"), Result.COPIED, digest=DIGEST, crc32="00c0ffee", bytes_copied=5, blobs_copied=1)
    report = Report(
        "abcd1234", (failed, copied, Outcome(change(tag="3"), Result.REMAINING)), (PlanError("a", "s.io/x", "no", "why"),), 1.5, "a signal asked for it"
    )

    shown = render_report_table(report)
    document = report_document(report)

    assert shown.splitlines()[0].startswith("  x s.io/app:1 → r.io/m/app:1   failed   push blob")
    assert "Copied 1 image (1 blob, 5 B)" in shown
    assert "Stopped (a signal asked for it): 1 left. Run it again to continue." in shown
    assert "1 failed, 1 could not be planned." in shown
    assert document["outcomes"][0]["error"] == "push blob r.io/m/app (destination): 507 (free some space)"
    assert document["summary"]["failed"] == 1
    assert document["errors"] == [{"mirror": "a", "reference": "s.io/x", "message": "no (why)"}]


def test_report_tells_of_moved_tags_and_counts_what_was_deleted_and_held():
    """Notes in lines of their own; deleted and held in the sum where there are some, also when nothing was copied."""
    outcomes = (
        Outcome(change(), Result.COPIED, digest=DIGEST),
        Outcome(change(Action.DELETE, "2"), Result.DELETED),
        Outcome(change(Action.HOLD, "3"), Result.HELD),
        Outcome(change(Action.KEEP, "4"), Result.KEPT),
    )
    note = "s.io/app:1 moved since the plan was made, 1 → 2 \x1b[31m"

    shown = render_report_table(Report("abcd1234", outcomes, notes=(note,))).splitlines()

    assert shown[0] == "    note: s.io/app:1 moved since the plan was made, 1 → 2 \\x1b[31m"
    assert shown[1].endswith("; 1 kept, 1 deleted, 1 held.")
    assert shown[2] == "Nothing failed."
    assert render_report_table(Report("abcd1234", outcomes[:1])).splitlines()[0].endswith("; 0 kept.")
    failed = render_report_table(Report("abcd1234", (Outcome(change(), Result.FAILED, error="no"), outcomes[1]))).splitlines()
    assert failed[1].startswith("Copied 0 images")
    assert failed[1].endswith("; 0 kept, 1 deleted.")


def test_table_folds_what_is_long():
    """More than 50 lines of one action in one mirror show the first 20 and how many more there are; --all folds nothing."""
    creates = [change(tag=str(number)) for number in range(51)]
    updates = [change(Action.UPDATE, f"u{number}") for number in range(50)]
    shown = table(plan(*creates, *updates))

    assert shown.count("  + app:") == 20
    assert "  + app:19" in shown
    assert "    … and 31 more to create (imgsync plan --all lists them)\n  ~ app:u0" in shown
    assert shown.count("  ~ app:u") == 50
    assert table(plan(*creates, *updates), show_kept=True).count("  + app:") == 51


def test_table_sets_deletes_apart():
    """Under a heading of their own at the mirror's end, in lines of the same form."""
    delete = change(Action.DELETE, "old", reason="no longer selected; pushed by imgsync on 2026-03-02")
    lines = table(plan(delete, change())).splitlines()

    assert lines[1].startswith("  + app:1   create")
    assert lines[2] == "  prune"
    assert lines[3].startswith("  - app:old   delete")
    assert lines[3].endswith("   no longer selected; pushed by imgsync on 2026-03-02")
    assert "1 to create, 0 to update, 1 to delete, 0 up to date." in lines[-2]


def test_table_says_how_long_held_ones_wait():
    """The moment is in the reason, the time left beside it; a moment that is gone asks for the next run."""
    reason = "first seen 6h ago, held until 2026-11-26T09:00:00Z by min_age 3d"
    held = replace(plan(change(Action.HOLD, reason=reason)), created_at="2026-11-24T04:00:00Z")

    assert f"  ? app:1   hold        1.0 MiB   {reason} (2d05h left)\n" in table(held)
    assert "(ready at the next run)" in table(replace(held, created_at="2026-11-27T00:00:00Z"))
    assert f"{reason}\n" in table(replace(held, created_at=""))
    assert "1 on hold" in table(held)


def test_table_shows_changes_of_mirrors_it_has_no_notes_of():
    """A plan read from a file may lack them; nothing of it is passed over."""
    shown = table(Plan((change(),), (PlanError("b", "s.io/x", "401"),)))

    assert "a\n  + app:1 → r.io/m/app:1   create" in shown
    assert "b\n  x s.io/x   error   401" in shown
