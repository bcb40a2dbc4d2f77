"""A report as one HTML page: complete, self-contained, harmless."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import Action
from imgsync.render.report_html import render_report_html
from tests.support.plans import DIGEST, change, report, reports
from tests.support.rendered import Rendered, strict_parse

_LAYOUT = {"html", "head", "meta", "title", "style", "body", "header", "main", "section", "h1", "h2", "div", "figure", "span", "svg", "rect"}
_ELEMENTS = {*_LAYOUT, "p", "time", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code"}


def test_page_lists_failures_first():
    """Then plan errors, remaining, refused, deleted, held and copied; kept as a number."""
    page = render_report_html(report())

    assert re.findall('<h2 id="[^"]*">([^<]*)<', page) == [
        "Failed (1)",
        "Could not be planned (1)",
        "Left for the next run (1)",
        "Refused (1)",
        "Deleted (1)",
        "On hold (1)",
        "Copied (1)",
        "Notes",
        "Transferred per mirror",
        "Largest transfers",
    ]
    assert "<title>imgsync: 1 failed, 1 refused, 1 could not be planned, 1 left for the next run (plan abcd1234)</title>" in page
    assert "Stopped (the run&#39;s time is up). Run it again to continue." in page
    assert "free some space" in page
    assert "<dt>Kept</dt><dd>1</dd>" in page
    assert "app:2" not in page


def test_page_of_a_good_run_is_short():
    """Without empty tables or charts."""
    page = render_report_html(Report("abcd1234", (Outcome(change(Action.KEEP), Result.KEPT),)))

    assert '<p class="verdict good">Nothing failed</p>' in page
    assert "<table" not in page
    assert "<svg" not in page


def test_page_is_self_contained():
    """No script, no URL, and a policy that forbids both."""
    page = render_report_html(report())

    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<a\b", page)


def test_tables_have_headings_for_every_column():
    """Each cell names its heading."""
    for table in re.findall("<table.*?</table>", render_report_html(report()), re.DOTALL):
        headings = re.findall('<th role="columnheader" scope="col"[^>]*>([^<]+)</th>', table)
        for row in re.findall('<tr role="row">(.*?)</tr>', table.partition("<tbody")[2], re.DOTALL):
            assert re.findall('data-heading="([^"]+)"', row) == headings


@pytest.mark.row("OUT-03")
@given(reports)
@example(Report("\ufdd0\ufffe", (), notes=("\U0001ffff", "\udc80")))
def test_hostile_names_in_a_report_are_inert(some: Report):
    """The page parses and has only our elements and attributes."""
    page = render_report_html(some)
    strict_parse(page)
    seen = Rendered(page)

    assert seen.elements <= _ELEMENTS
    assert not {name for _, name, _ in seen.attributes} & {"href", "src", "style", "action", "srcset"}
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    assert seen.comments == []


@given(reports)
def test_every_outcome_but_the_kept_has_a_row(some: Report):
    """No other outcome is lost."""
    rows = render_report_html(some).count('<tr role="row"><td')

    assert rows == len(some.outcomes) - some.count("kept") + len(some.errors)


def test_huge_reports_are_cut_and_counted():
    """Two thousand rows of a kind; the rest is a number."""
    copied = [Outcome(change(tag=str(number)), Result.COPIED, digest=DIGEST, bytes_copied=1 + number) for number in range(2_500)]
    kept = [Outcome(change(Action.KEEP, f"k{number}"), Result.KEPT) for number in range(20_000)]

    page = render_report_html(Report("abcd1234", (*copied, *kept)))

    assert page.count("<td") == 2_000 * 5
    assert "… and 500 more" in page
    assert len(page) < 1 << 20


def test_charts_show_the_largest_and_the_sum_of_the_rest():
    """Ten bars and one for all others."""
    copied = [Outcome(change(tag=str(number)), Result.COPIED, bytes_copied=100 - number) for number in range(15)]

    page = render_report_html(Report("abcd1234", tuple(copied)))
    images = page.partition("Largest transfers")[2]

    assert images.count('class="bar"') == 11
    assert "<code>5 others</code>" in images
    assert f'<span class="number">{sum(100 - n for n in range(10, 15))} B</span>' in images
    assert max(float(width) for width in re.findall('class="bar" width="([0-9.]+)"', images)) == 100
