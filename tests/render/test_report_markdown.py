"""A report as a comment: failures first, limited in length, harmless."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import Action
from imgsync.render.report_markdown import render_report_markdown
from tests.render.test_plan_markdown import assert_inert
from tests.support.plans import DIGEST, change, report, reports


def test_comment_lists_failures_first():
    """Marker, sums, next step, failures, errors; copies are folded."""
    shown = render_report_markdown(report())
    order = [
        (
            "<!-- imgsync-report -->\n"
            "### imgsync apply `abcd1234` — 1 failed, 1 remaining, 1 refused, 1 deleted, 1 held, 1 copied, 1 up to date, 1 could not be planned"
        ),
        "Transferred **5.0 MiB** in 3 blobs; 1 mounted, 2 already at the destination · 1m15s · ended `2026-11-23T09:00:00Z` · imgsync",
        "**Stopped** (the run's time is up): 1 image left. Run it again to continue.",
        "- `s.io/app:6` → `r.io/m/app:6` (mirror `a`): push blob `r.io/m/app` (destination): 507; hint: free some space",
        "- `s.io/x` (mirror `b`): list tags of `s.io/x` (source): 401; hint: log in",
        "<details><summary>Left for the next run</summary>",
        "| `r.io/m/app:7` | `a` |",
        "> [!CAUTION]",
        "> - `r.io/m/app:4` (mirror `a`): tag is declared immutable",
        "| `r.io/m/app:5` | `a` | no longer selected |",
        "| `r.io/m/app:3` | `a` | first seen `6h` ago, held until `2026-11-26T09:00:00Z` by `min_age 3d (3d00h left)` |",
        "<details><summary>Copied</summary>",
        "| `r.io/m/app:1` | `a` | `9001185023b6` | 5.0 MiB | 1.5s |",
        "- `s.io/app:1` moved since the plan was made",
    ]

    assert [shown.find(text) for text in order] == sorted(shown.find(text) for text in order)
    assert all(text in shown for text in order)
    assert "app:2" not in shown


def test_report_without_changes_is_two_lines():
    """One heading, one line."""
    assert "— nothing to do\n" in render_report_markdown(Report("abcd1234", ()))


@pytest.mark.row("OUT-03")
@given(reports)
def test_hostile_names_in_a_report_are_inert(some: Report):
    """Only our elements, no mention, link, image or reference."""
    assert_inert(render_report_markdown(some))


@given(reports, st.integers(1_000, 20_000))
def test_report_fits_its_limit_and_counts_the_rest(some: Report, limit: int):
    """In characters and UTF-16 units."""
    shown = render_report_markdown(some, limit=limit)
    lines = without_gone(shown.split("\n"))
    rows = sum(line.startswith(("| `", "|  |")) for line in lines) + len(re.findall(r"^> - (?!…)", shown, re.MULTILINE))
    failed = shown.partition("\n**Failed**\n\n")[2].partition("\n\n")[0].split("\n")
    shown_failed = sum(line.startswith("- ") and not line.startswith("- … and") for line in failed)
    left = re.search(r"… and (?:([0-9]+) more outcomes?)?.*? left out; `imgsync show report\.json` shows all\.\n\Z", shown)

    assert len(shown.encode("utf-16-le")) // 2 <= limit
    assert rows + shown_failed + (int(left[1] or 0) if left else 0) == len(some.outcomes) - some.count("kept")


def without_gone(lines: list[str]) -> list[str]:
    """Return *lines* without the table of what is gone: it has no outcomes."""
    head = "<details><summary>Gone at the source, kept here</summary>"
    if head not in lines:
        return lines
    begin = lines.index(head)
    return [*lines[:begin], *lines[lines.index("</details>", begin) :]]


def test_copied_ones_are_left_out_first():
    """Failures are left out last."""
    copied = [Outcome(change(tag=str(number)), Result.COPIED, digest=DIGEST) for number in range(500)]
    failed = [Outcome(change(Action.UPDATE, f"f{number}"), Result.FAILED, error="507") for number in range(20)]

    shown = render_report_markdown(Report("abcd1234", (*copied, *failed)), limit=4_000)

    assert shown.count("507") == 20
    rows = shown.count("| `r.io/")
    assert 0 < rows < 500
    assert f"… and {500 - rows} more outcomes were left out" in shown


def test_too_small_limit_of_a_report_is_a_programming_error():
    """A limit below the sums raises."""
    with pytest.raises(ValueError, match="at least 1000"):
        render_report_markdown(report(), limit=999)
