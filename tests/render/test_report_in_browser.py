"""The HTML report as a reader sees it in Chromium: accessible, at each width, harmless."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from imgsync.apply.report import Outcome, Report, Result
from imgsync.plan.model import Action, PlanError
from imgsync.render.report_html import render_report_html
from tests.support.axe import find_violations
from tests.support.browser import DESK, PHONE, Browser, open_browser
from tests.support.plans import DIGEST, TRAPS, change, report

_LONG = "a-very-long-name-" * 7
_UNFOLD = "document.querySelectorAll('details').forEach((fold) => { fold.open = true })"
# The copied images that are shown, with repository and tag.
_SHOWN = """
[...document.querySelectorAll(".copied tbody tr")].filter((row) => row.checkVisibility()).map((row) =>
  (row.closest(".repository")?.querySelector("code").textContent ?? "") + ":" + row.cells[0].querySelector("code").textContent)
"""
_SEARCHABLE = "document.querySelector('.find').checkVisibility()"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture
def page(browser, tmp_path) -> Callable[..., Browser]:
    """Open a report in the browser."""

    def opened(some: Report, **how: object) -> Browser:
        path = tmp_path / "report.html"
        path.write_text(render_report_html(some))
        browser.open(path, **how)
        return browser

    return opened


def copied(repository: str, count: int, *, mirror: str = "a") -> list[Outcome]:
    return [
        Outcome(change(tag=str(tag), mirror=mirror, destination=f"r.io/{repository}:{tag}"), Result.COPIED, digest=DIGEST, bytes_copied=1 << 20, seconds=2)
        for tag in range(count)
    ]


def everything() -> Report:
    """Return a report with every part of the page: tasks, charts, the largest, the search."""
    failed = [Outcome(change(tag=f"f{number}"), Result.FAILED, error="push blob r.io/m/app: 507", hint="free `some` space") for number in range(5)]
    found = report()
    return Report(found.plan_id, (*found.outcomes, *failed, *copied("m/app", 12), *copied("m/db", 1, mirror="b")), found.errors, 75.4, "time", found.notes)


def hostile() -> Report:
    """Return a report with each trap in every field, and names of the greatest length."""
    texts = [*TRAPS, f"r.io/{_LONG}/{_LONG}:{'t' * 128}", "x" * 500]
    outcomes = [
        Outcome(change(mirror=text, source=text, destination=text, reason=text), result, digest=text, error=text, hint=text, left_out=(text,))
        for text in texts
        for result in Result
    ]
    return Report("".join(TRAPS), tuple(outcomes), tuple(PlanError(text, text, text, text) for text in texts), 1.0, texts[0], tuple(texts), texts[0])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_page_is_accessible(width, dark, page):
    """axe-core finds nothing, with all lists unfolded."""
    shown = page(everything(), width=width, dark=dark)
    shown.run(_UNFOLD)

    assert find_violations(shown) == []
    assert shown.errors == []


@pytest.mark.row("OUT-03")
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_hostile_names_are_text_in_a_browser(width, page):
    """Nothing runs or loads, and no name makes the page wider than the window."""
    shown = page(hostile(), width=width)
    shown.run(_UNFOLD)

    assert shown.errors == []
    assert shown.run("document.querySelectorAll('script').length") == 1
    assert shown.run("document.querySelectorAll('img, a, iframe, form, link, base').length") == 0
    assert shown.run("document.documentElement.scrollWidth <= innerWidth")
    assert shown.run("performance.getEntriesByType('resource').length") == 0


@pytest.mark.row("OUT-03")
def test_policy_allows_only_own_script_and_style(page):
    """What slipped into the page would not run."""
    shown = page(everything())
    shown.run("document.body.insertAdjacentHTML('beforeend', '<b style=\"color: red\" id=bad onclick=\"window.ran = 1\">x</b>'); bad.click()")
    shown.run("const script = document.createElement('script'); script.textContent = 'window.ran = 2'; document.body.append(script)")
    shown.run("fetch('data:text/plain,x').then(() => { window.ran = 3 }, () => {})")

    assert shown.run("window.ran === undefined")
    assert shown.run("getComputedStyle(bad).color !== 'rgb(255, 0, 0)'")


def test_search_shows_only_the_images_found(page):
    """By any part of mirror, repository, tag or digest; an empty search restores the page."""
    shown = page(Report("abcd1234", (*copied("m/app", 30), *copied("m/db", 3, mirror="b"), *copied("m/one", 1, mirror="b"))))
    assert shown.run(_SEARCHABLE)
    assert shown.run(_SHOWN) == []

    shown.run("document.querySelector('.find input').focus()")
    shown.type("B m/DB :1")
    assert shown.run(_SHOWN) == ["r.io/m/db:1"]
    assert shown.run("document.querySelector('.find output').textContent") == "1 of 34"
    shown.run("document.querySelector('.find input').select()")
    shown.type("m/one")
    assert shown.run(_SHOWN) == [":r.io/m/one:0"]
    shown.run("document.querySelector('.find input').select()")
    shown.type(" ")

    assert shown.run(_SHOWN) == []
    assert shown.run("document.querySelectorAll('.copied details').length === 4 && !document.querySelector('.copied [hidden]')")


def test_page_can_be_read_without_scripts(page):
    """Everything is there but the search."""
    shown = page(everything(), scripts=False)

    assert not shown.run(_SEARCHABLE)
    assert shown.run("document.querySelectorAll('.copied summary').length > 0")


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_sizes_and_times_are_in_line(width, page):
    """Each column of numbers has one right edge."""
    shown = page(Report("abcd1234", (*copied("m/app", 12), *copied("m/db", 1, mirror="b"))), width=width)
    shown.run(_UNFOLD)

    edges = shown.run("[...document.querySelectorAll('.copied .n')].filter((n) => n.checkVisibility()).map((n) => Math.round(n.getBoundingClientRect().right))")
    assert len(edges) > 20
    assert len(set(edges)) == 2


def test_printed_page_is_light_and_whole(page):
    """On paper there is no search field, and cards are not cut."""
    shown = page(everything(), dark=True, print_form=True)

    assert shown.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not shown.run(_SEARCHABLE)
    assert shown.run("getComputedStyle(document.querySelector('.cards > li')).breakInside") == "avoid"


def test_huge_report_opens_and_is_searched_at_once(page, tmp_path):
    """Of 20,000 images, within seconds."""
    kept = Outcome(change(Action.KEEP), Result.KEPT)
    shown = page(Report("abcd1234", (kept, *(outcome for number in range(100) for outcome in copied(f"m/app{number}", 200, mirror=f"m{number % 9}")))))
    shown.run("document.querySelector('.find input').focus()")
    shown.type("m/app77 :199")

    assert shown.run(_SHOWN) == ["r.io/m/app77:199"]
    assert shown.run("performance.timing.loadEventEnd - performance.timing.navigationStart") < 10_000
