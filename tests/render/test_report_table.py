"""A report as a table."""

from __future__ import annotations

import json

from imgsync.apply.report import Outcome, Report, Result, SharedCopies
from imgsync.documents.json_stream import to_json
from imgsync.documents.report import encode_report
from imgsync.plan.model import Action, Change, PlanError
from imgsync.render.report_table import render_report_table
from tests.support.plans import reference

DIGEST = "sha256:" + "a" * 64


def change(action: Action = Action.CREATE, tag: str = "1", *, destination: str = "r.io/m/app", reason: str = "not at the destination") -> Change:
    return Change(action, "a", reference(f"s.io/app:{tag}"), DIGEST, reference(f"{destination}:{tag}"), None, "x/y", 1 << 20, reason)


def test_shared_blobs_are_those_of_the_images():
    """An image whose blobs came from the phase `shared` is not one without content."""
    mounted = Outcome(change(), Result.COPIED, digest=DIGEST, blobs_mounted=2)
    shared = (SharedCopies("a", 7, 2),)

    assert "Copied 1 image (2 blobs, 7 B) in " in render_report_table(Report("abcd1234", (mounted,), shared=shared))
    assert "Copied 2 shared blobs (7 B) in " in render_report_table(Report("abcd1234", (), shared=shared))


def test_report_lists_failures_and_remaining_work():
    """Failures with hints, then sums; the document has the plan's errors too."""
    failed = Outcome(change(), Result.FAILED, error="push blob r.io/m/app (destination): 507", hint="free some space", attempts=4)
    copied = Outcome(change(tag="2"), Result.COPIED, digest=DIGEST, crc32="00c0ffee", bytes_copied=5, blobs_copied=1)
    report = Report("abcd1234", (failed, copied, Outcome(change(tag="3"), Result.REMAINING)), (PlanError("a", "s.io/x", "no", "why"),), 1.5, "interrupted")

    shown = render_report_table(report)
    document = json.loads(to_json(encode_report(report), indented=False))

    assert shown.splitlines()[:5] == [
        "a",
        "  x s.io/app:1 → r.io/m/app:1   failed   push blob r.io/m/app (destination): 507",
        "      hint: free some space",
        "  x s.io/x   error   no",
        "      hint: why",
    ]
    assert "s.io/x" not in render_report_table(report, has_plan=True)
    assert "Copied 1 image (1 blob, 5 B)" in shown
    assert "Stopped (interrupted): 1 left. Run it again to continue." in shown
    assert "1 failed, 1 could not be planned." in shown
    assert document["outcomes"][0]["error"] == "push blob r.io/m/app (destination): 507 (free some space)"
    assert document["summary"]["failed"] == 1
    assert document["errors"] == [{"mirror": "a", "reference": "s.io/x", "message": "no (why)", "hint": "why"}]


def test_report_shows_moved_tags_and_counts_deleted_and_held():
    """Also when nothing was copied."""
    outcomes = (
        Outcome(change(), Result.COPIED, digest=DIGEST),
        Outcome(change(Action.DELETE, "2"), Result.DELETED),
        Outcome(change(Action.HOLD, "3"), Result.HELD),
        Outcome(change(Action.KEEP, "4"), Result.KEPT),
    )
    note = "s.io/app:1 moved since the plan was made, 1 → 2 \x1b[31m"

    shown = render_report_table(Report("abcd1234", outcomes, notes=(note,))).splitlines()

    assert shown[0] == "    note: s.io/app:1 moved since the plan was made, 1 → 2 \\x1b[31m"
    assert shown[1].endswith("; 1 up to date, 1 deleted, 1 held.")
    assert shown[2] == "Nothing failed."
    assert render_report_table(Report("abcd1234", outcomes[:1])).splitlines()[0] == "Copied 1 image (0 blobs, 0 B) in 0.0s."
    failed = render_report_table(Report("abcd1234", (Outcome(change(), Result.FAILED, error="no"), outcomes[1]))).splitlines()
    assert failed[3].startswith("Copied nothing in 0.0s")
    assert failed[3].endswith("; 1 deleted.")


def test_summary_has_no_zeros():
    """Only what happened; blobs of a failed image are not those of a copied one."""
    whole = Outcome(change(), Result.COPIED, digest=DIGEST, bytes_copied=5, blobs_copied=2, blobs_mounted=1, blobs_present=3)
    part = Outcome(change(), Result.FAILED, error="no", bytes_copied=5, blobs_copied=1)

    assert "Copied 1 image (2 blobs, 5 B) in 0.0s; 1 blob mounted, 3 blobs already at the destination.\n" in render_report_table(Report("a", (whole,)))
    assert "Copied nothing in 0.0s; 1 blob, 5 B sent for images that are not complete; 1 held.\n" in render_report_table(
        Report("a", (part, Outcome(change(), Result.HELD)))
    )


def test_parts_that_several_images_leave_out_are_one_note():
    """With the first few images, and how many there are."""
    parts = ("platform linux/s390x that the image does not have",)
    outcomes = tuple(Outcome(change(tag=str(number)), Result.COPIED, left_out=parts) for number in range(7))

    assert render_report_table(Report("a", outcomes)).splitlines()[:2] == [
        "    note: left out: platform linux/s390x that the image does not have (r.io/m/app:0, r.io/m/app:1,",
        "      r.io/m/app:2, r.io/m/app:3, r.io/m/app:4 and 2 more)",
    ]


def test_shared_hint_follows_the_last_failure():
    """And is not repeated."""
    failed = [Outcome(change(tag=str(number)), Result.FAILED, error="507", hint="free some space") for number in range(3)]
    lines = render_report_table(Report("a", tuple(failed))).splitlines()

    assert [line.strip() for line in lines if "hint" in line] == ["hint: free some space"]
    assert lines[4] == "      hint: free some space"
