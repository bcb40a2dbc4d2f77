"""A report as one HTML page: complete, self-contained, harmless."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace

import pytest
from hypothesis import example, given

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import Action, PlanError
from imgsync.render.report_html import render_report_html
from tests.support.plans import DIGEST, change, gone_tag, report, reports
from tests.support.rendered import Rendered, strict_parse

_LAYOUT = {"html", "head", "meta", "title", "style", "script", "body", "header", "main", "footer", "section", "h1", "h2", "h3", "div", "span", "figure"}
_LISTS = {"p", "time", "dl", "dt", "dd", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "label", "input", "output"}
_ELEMENTS = {*_LAYOUT, *_LISTS, "figcaption", "code", "small", "b", "i", "wbr", "svg", "rect", "path", "circle"}
_TAG = re.compile(r"<[^>]*>")


def headings(page: str) -> list[str]:
    """Return the titles of the page's sections."""
    return [_TAG.sub("", found).strip() for found in re.findall("<h2 id=[^>]*>(.*?)</h2>", page, re.DOTALL)]


def cards(page: str) -> list[dict[str, str]]:
    """Return the fields of each card."""
    found = re.findall(r"<li><dl>(.*?)</dl></li>", page, re.DOTALL)
    return [{name: html.unescape(_TAG.sub("", text)) for name, text in re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", card, re.DOTALL)} for card in found]


def words(part: str) -> list[str]:
    """Return the words that a reader sees."""
    return html.unescape(_TAG.sub(" ", re.sub("</?(?:wbr|i)>", "", part))).split()


def copied(count: int, *, mirror: str = "a") -> list[Outcome]:
    return [Outcome(change(tag=str(number), mirror=mirror), Result.COPIED, digest=DIGEST, bytes_copied=1 + number, seconds=1) for number in range(count)]


def test_page_lists_failures_first():
    """Then plan errors, refused, remaining, mirrors, deleted, held and copied; kept as a number."""
    page = render_report_html(report())

    assert headings(page) == [
        "Failed 1",
        "Could not be planned 1",
        "Refused 1",
        "Left for the next run 1",
        "Mirrors",
        "Deleted 1",
        "On hold 1",
        "Copied 1",
        "Notes",
    ]
    title = "1 image failed, 1 image refused, 1 reference could not be planned, 1 image left for the next run"
    assert f"<title>imgsync: {title} (plan abcd1234)</title>" in page
    assert "Stopped: the run&#39;s time is up. Run it again to continue." in page
    assert '<time datetime="2026-11-23T09:00:00Z">2026-11-23 09:00 UTC</time>' in page
    assert "app:2" not in page


def test_card_has_place_cause_and_remedy():
    """Of each problem; the remedy is that of the error."""
    failed, unplanned, refused = cards(render_report_html(report()))

    assert failed == {
        "Source": "s.io/app:6",
        "Destination": "r.io/m/app:6",
        "What happened": "push blob r.io/m/app (destination): 507 (4 attempts)",
        "What to do": "free some space",
    }
    assert unplanned == {"Source": "s.io/x", "What happened": "list tags of s.io/x (source): 401", "What to do": "log in"}
    assert refused["What happened"] == "tag is declared immutable"
    assert refused["What to do"]


def test_failures_of_one_cause_are_one_task():
    """The list of what to do counts them, most first."""
    failed = [Outcome(change(tag=str(number), mirror="ab"[number % 2]), Result.FAILED, error="403", hint="log `in`") for number in range(5)]
    other = Outcome(change(tag="9", mirror="b"), Result.FAILED, error="507", hint="free some space")

    page = render_report_html(Report("abcd1234", (other, *failed)))

    assert headings(page)[:2] == ["What to do", "Failed 6"]
    tasks = page.partition("<ol>")[2].partition("</ol>")[0]
    assert re.findall("<p[^>]*>(.*?)</p>", tasks) == ["log <code>in</code>", "5 problems in a, b", "free some space", "1 problem in b"]
    assert "What to do</h2>" not in render_report_html(Report("abcd1234", (other, failed[0])))


@pytest.mark.row("OUT-03")
def test_code_of_hints_is_code_beside_a_hostile_name():
    """A backtick in a name changes nothing else, and markup within code is text."""
    failed = Outcome(change(), Result.FAILED, error="push `<b>x</b>` of evil`name/app: 507", hint="run `imgsync plan --refresh` (`--all` too)")

    page = render_report_html(Report("abcd1234", (failed,)))

    text = page.replace("<wbr>", "")
    assert "<dd>push <code>&lt;b&gt;x&lt;/b&gt;</code> of evil`name/app: 507</dd>" in text
    assert "<dd>run <code>imgsync plan --refresh</code> (<code>--all</code> too)</dd>" in text


def test_page_of_a_good_run_is_short():
    """Its mirrors are all there is; nothing is empty."""
    page = render_report_html(Report("abcd1234", (Outcome(change(Action.KEEP), Result.KEPT),)))

    assert "Everything is up to date" in page
    assert headings(page) == ["Mirrors"]
    assert not re.search(r"<(?:tbody|ul|dl|ol)[^>]*>\s*</", page)


def test_counts_have_a_word_and_a_sign():
    """Colour is never alone."""
    page = render_report_html(replace(report(), gone=(gone_tag(),)))
    counts = page.partition('<ul class="counts">')[2].partition("</ul>")[0]

    shown = re.findall(r'<li class="(\w+)"><b>1</b><span><svg class="icon"[^>]*>(.*?)</svg>([^<]+)</span></li>', counts, re.DOTALL)
    assert [kind for kind, _, _ in shown] == ["failed", "errors", "refused", "remaining", "deleted", "held", "copied", "kept", "gone"]
    assert len({sign for _, sign, _ in shown}) == len({name for _, _, name in shown}) == 9


def test_page_is_self_contained():
    """No URL; the policy allows this style and this script, by hash, and nothing else."""
    page = render_report_html(report())
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', page)

    hashes = {}
    for element in ("style", "script"):
        (text,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        hashes[element] = f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    expected = f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; base-uri 'none'; form-action 'none'"
    assert html.unescape(policy) == expected
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"https?:|//|url\(|@import|<script |<link|<a\b", page)


def test_tables_have_headings_for_every_column():
    """Each row has as many cells."""
    for table in re.findall("<table.*?</table>", render_report_html(Report("abcd1234", (*report().outcomes, *copied(12)))), re.DOTALL):
        columns = len(re.findall('scope="col"', table))
        rows = re.findall("<tr[ >].*?</tr>", table.partition("<tbody")[2], re.DOTALL)
        assert rows
        assert {len(re.findall("<t[dh][ >]", row)) for row in rows} == {columns}


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
@example(Report("", (), (PlanError("a", "", " ", ""),)))
def test_every_outcome_but_the_kept_is_listed(some: Report):
    """As a card with what happened and what to do, or as a row."""
    page = render_report_html(some)
    found = cards(page)
    rows = sum(section.count("<tr><td>") for section in re.findall(r'<section class="(?:remaining|deleted|gone|held|copied)".*?</section>', page, re.DOTALL))

    assert len(found) == some.count(Result.FAILED) + some.count(Result.REFUSED) + sum(not error.later for error in some.errors)
    assert all(card["What happened"].strip() and card["What to do"].strip() for card in found)
    assert len(found) + rows == len(some.outcomes) - some.count(Result.KEPT) + len(some.errors) + len(some.gone)


def test_copied_images_are_folded_by_mirror_and_repository():
    """A repository with one image is a row; each fold has its sums."""
    single = Outcome(change(tag="1", mirror="b", destination="r.io/m/db:1"), Result.COPIED, bytes_copied=2048, seconds=1)

    page = render_report_html(Report("abcd1234", (*copied(3), single)))

    text = [words(found) for found in re.findall("<summary>.*?</summary>", page, re.DOTALL)]
    assert text == [
        ["a", "3", "images", "6", "B", "3.0s"],
        ["r.io/m/app", "3", "images", "6", "B", "3.0s"],
        ["b", "1", "image", "2.0", "KiB", "1.0s"],
    ]
    rows = [words(found) for found in re.findall("<tr><td>.*?</tr>", page)]
    assert rows == [*([str(n), DIGEST[7:19], str(n + 1), "B", "1.0s"] for n in range(3)), ["r.io/m/db:1", "2.0", "KiB", "1.0s"]]


def test_huge_reports_are_cut_and_counted():
    """All of 20,000 usual images, of long names as many as fit; 500 cards of a kind."""
    kept = Outcome(change(Action.KEEP, "kept"), Result.KEPT)
    page = render_report_html(Report("abcd1234", (*copied(20_000), *[kept] * 20_000)))

    assert page.count("<tr><td>") == 20_000 + 10
    assert len(page) < 3 << 20

    long = [Outcome(change(tag=f"{number}{'t' * 120}", destination=f"r.io/{'p/' * 60}{number}:{'t' * 120}"), Result.COPIED) for number in range(9_000)]
    failed = [Outcome(change(tag=str(number), mirror=str(number)), Result.FAILED, error="e" * 400, hint="h" * 400) for number in range(600)]
    page = render_report_html(Report("abcd1234", (*failed, *long)))

    assert len(cards(page)) == 500
    assert "… and 100 more; the JSON report lists all." in page
    assert re.search(r"… and [0-9,]+ more; the JSON report lists all.</p>\s*</section>\s*</main>", page)
    assert len(page) < 8 << 20


def test_charts_show_the_largest_and_the_sum_of_the_rest():
    """Ten mirrors and one bar for all others."""
    some = [Outcome(change(tag=str(number), mirror=f"m{number}"), Result.COPIED, bytes_copied=100 - number, seconds=1 + number) for number in range(15)]

    page = render_report_html(Report("abcd1234", tuple(some)))
    sizes, times = re.findall("<figure.*?</figure>", page, re.DOTALL)

    for chart, largest, rest in ((sizes, "100 B", f"{sum(100 - n for n in range(10, 15))} B"), (times, "15s", "15s")):
        bars = re.findall(r'<li><span>([^<]+)</span><span class="n">([^<]+)</span><svg.*?class="value" width="([0-9.]+)"', chart)
        assert len(bars) == 11
        assert bars[0][1] == largest
        assert bars[-1][:2] == ("5 others", rest)
        assert max(float(width) for _, _, width in bars) == 100


def test_tags_that_are_gone_are_listed_with_the_date():
    """They stay, and are no problem."""
    page = render_report_html(Report("abcd1234", (Outcome(change(Action.KEEP), Result.KEPT),), gone=(gone_tag(),)))

    assert headings(page) == ["Mirrors", "Gone at the source, kept here 1"]
    (row,) = re.findall("<tr><td>.*?</tr>", page)
    assert words(row) == ["r.io/m/app:9", *gone_tag().description.split()]


def test_largest_images_are_copied_ones():
    """A failure may have sent more."""
    failed = Outcome(change(tag="failed"), Result.FAILED, error="507", bytes_copied=1 << 40)

    page = render_report_html(Report("abcd1234", (failed, *copied(12))))

    largest = page.partition('id="largest"')[2].partition("</section>")[0]
    rows = [words(found)[:3] for found in re.findall("<tr><td>.*?</tr>", largest)]
    assert rows == [[f"r.io/m/app:{number}", str(number + 1), "B"] for number in range(11, 1, -1)]
