"""A plan as a comment: problems first, limited in length, harmless."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgsync.plan.model import Action, MirrorNotes, Plan, PlanError
from imgsync.render.gitlab_widget import render_gitlab_summary
from imgsync.render.markdown import format_code, format_html_code, format_prose
from imgsync.render.plan_markdown import render_plan_markdown
from tests.support.plans import NOTES, TRAPS, change, hostile, of_each_action, plan, plans
from tests.support.rendered import render_markdown

# Our own: tables, lists, folded sections, emphasis. No link, no image, no script.
ALLOWED = {
    "html",
    "head",
    "body",
    "h3",
    "p",
    "strong",
    "b",
    "code",
    "details",
    "summary",
    "blockquote",
    "ul",
    "li",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
LEFT_OUT = re.compile(r"… and (?:([0-9]+) more changes?)?.*? left out; `imgsync show plan\.json` shows all\.\n\Z")


def assert_inert(markdown: str, *, allowed: set[str] = ALLOWED) -> None:
    """Assert that only our elements are there, and no outside link."""
    page = render_markdown(markdown)
    told = " ".join(page.prose)

    assert page.elements <= allowed
    assert {(tag, name) for tag, name, _ in page.attributes} <= {("details", "open"), ("th", "style"), ("td", "style")}
    assert len(page.comments) == 1
    assert not re.search(r"@|#|(?:https?|ftp):/|www\.|evil|[a-z]!\d|GH-|:[a-z]+:|\$|\b[0-9a-f]{7,40}\b|\x1b", told.replace("[!CAUTION]", ""))


def test_comment_has_its_parts_in_order():
    """Marker, sums, pulls, refusals, errors, deletions, then each mirror."""
    assert render_plan_markdown(of_each_action()) == EXPECTED.replace("PLAN", of_each_action().id)


EXPECTED = """<!-- imgsync-plan -->
### imgsync plan `PLAN` — 1 to create, 1 to update, 1 to delete, 1 on hold, 1 refused, 1 error

1 tag up to date · Transfer **1.0 MiB** (blobs counted once per destination registry) · \
apply needs at most 30 destination requests, 12 source requests · planning took 0 destination requests, 9 source requests · \
planned `2026-11-23T09:00:00Z` in 1.8s by imgsync 0.1.0

- `docker.io` limits pulls: apply needs 58; 76 of 100 per 6h00m are left.

> [!CAUTION]
> **1 tag refused**; the destination stays unchanged:
> - `r.io/m/app:4` (mirror `a`): tag is declared immutable: `7031c1b28338` → `9001185023b6`
>
> hint: ask the publisher why the tag moved; to mirror the new image, change `immutable` of the mirror

**1 error**; these references are not planned:

- `s.io/x` (mirror `a`): list tags of `s.io/x` (source): 401; hint: log in

<details open><summary><b>prune</b> · 1 tag to delete at the destination</summary>

| | tag | mirror | why |
|---|---|---|---|
| - delete | `r.io/m/app:5` | `a` | no longer selected; pushed by imgsync on `2026-03-02` |

</details>

<details open><summary><b><code>a</code></b> · <code>s.io</code> → <code>r.io/m</code> · <code>mirrors.d/a.yaml:3</code> · \
1 create, 1 update, 1 keep, 1 hold, 1 refuse, 1 delete, 1 error</summary>

| | image | change | size | why |
|---|---|---|--:|---|
| + create | `app:1` | `9001185023b6` | 1.0 MiB | not at the destination |
| ~ update | `app:2` | `7031c1b28338` → `9001185023b6` | 1.0 MiB | source moved `7031c1b28338` → `9001185023b6` |
| ! **refuse** | `app:4` | `7031c1b28338` → `9001185023b6` | 1.0 MiB | tag is declared immutable: `7031c1b28338` → `9001185023b6` |
| ? hold | `app:3` | `7031c1b28338` → `9001185023b6` | 1.0 MiB | first seen `6h` ago, held until `2026-11-26T09:00:00Z` by `min_age 3d (3d00h left)` |

</details>

<details><summary><b><code>b</code></b> · <code>s.io</code> → <code>r.io/b</code> · <code>mirrors.d/b.yaml:1</code> · suspended</summary>

- suspended: nothing is planned

</details>
"""


def test_unchanged_plan_is_one_line():
    """Nothing to unfold."""
    shown = render_plan_markdown(plan(change(Action.KEEP, "1"), change(Action.KEEP, "2")))

    assert "— no changes\n" in shown
    assert "2 tags up to date" in shown
    assert "<details" not in shown
    assert "app:1" in render_plan_markdown(plan(change(Action.KEEP, "1")), show_kept=True)


def test_plan_read_from_a_file_needs_no_notes():
    """Changes of an unknown mirror are shown under its name."""
    shown = render_plan_markdown(plan(change(mirror="unknown"), mirrors=()))

    assert "<b><code>unknown</code></b> · 1 create" in shown
    assert "`app:1` → `r.io/m/app:1`" in shown


@pytest.mark.row("OUT-03")
@given(plans, st.booleans(), st.booleans())
@example(plan(*(change(reason=trap, source=f"s.io/{trap}", destination=trap) for trap in TRAPS), errors=(PlanError("a", *TRAPS[:3]),)), True, True)
def test_hostile_names_in_a_report_are_inert(some: Plan, explain: bool, show_kept: bool):
    """Only our elements, no mention, link, image or reference."""
    assert_inert(render_plan_markdown(some, explain=explain, show_kept=show_kept))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("newest: 3.10.1; `imgsync list r.io/a` shows all 4", "newest: `3.10.1;` `imgsync list r.io/a` shows all 4"),
        ("log in (`docker login`), or set `a: {b: c}`.", "log in (`docker login`), or set `a: {b: c}`."),
        ("`a` `<b>`", "`a` `<b>`"),
        ("it says x`y` and ` alone", "it says `` x`y` `` and `` ` `` alone"),
    ],
)
def test_code_in_a_hint_stays_code(text, shown):
    """Other backticks are text."""
    assert format_prose(text) == shown


@given(hostile)
@example("0 ::add-mask::x")
@example("` `")
@settings(deadline=None)
def test_texts_are_readable(text: str):
    """Every word is shown; in a table it stays in its cell."""
    from imgsync.text.sanitize import sanitize_short

    words = sanitize_short(text).split()
    for function in (format_code, format_prose):
        paragraph = render_markdown(f"say {function(text)}")
        table = render_markdown(f"| a | b |\n|---|---|\n| {function(text, in_table=True)} | end |\n")

        assert re.sub("<[^>]*>", "", paragraph.html.replace("\n", "")).split()[1:] == html_words(words)
        assert [cell.strip() for cell in re.findall("<td>(.*?)</td>", table.html)][1:] == ["end"]
        assert re.sub("<[^>]*>", "", re.findall("<td>(.*?)</td>", table.html)[0]).split() == html_words(words)
    assert format_html_code(text).count("<") == 2


def html_words(words: list[str]) -> list[str]:
    return [word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") for word in words]


@given(plans, st.integers(1_000, 20_000), st.booleans())
def test_plan_fits_its_limit_and_counts_the_rest(some: Plan, limit: int, show_kept: bool):
    """In characters and UTF-16 units; opened elements are closed."""
    shown = render_plan_markdown(some, limit=limit, show_kept=show_kept)

    assert len(shown.encode("utf-16-le")) // 2 <= limit
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", shown)
    assert outside.count("<details") == outside.count("</details>") == outside.count("<summary>") == outside.count("</summary>")
    rows = len(re.findall(r"^\| [-+~?=] ", shown, re.MULTILINE)) + len(re.findall(r"^> - (?!…)", shown, re.MULTILINE))
    wanted = sum(show_kept or one.action is not Action.KEEP for one in some.changes)
    left = LEFT_OUT.search(shown)
    assert rows + (int(left[1] or 0) if left else 0) == wanted


def test_least_important_is_left_out_first():
    """Kept tags first, then creates, updates, deletions, errors; refusals last."""
    many = [change(action, str(number)) for action in Action for number in range(100)]
    some = plan(*many, errors=tuple(PlanError("a", f"s.io/x{number}", "401") for number in range(100)))
    kinds = {"refuse": "> - `", "error": "- `s.io/x", "delete": "| - ", "update": "| ~ ", "hold": "| ? ", "create": "| + ", "keep": "| = "}

    for limit in range(1_000, 70_000, 1_500):
        lines = render_plan_markdown(some, limit=limit, show_kept=True).splitlines()
        shown = [sum(line.startswith(start) for line in lines) for start in kinds.values()]

        assert all(more == 100 or less == 0 for more, less in itertools.pairwise(shown))
        assert shown[0] > 0
    assert shown == [100] * 7


def test_left_out_rows_are_counted_in_their_table():
    """And at the end."""
    shown = render_plan_markdown(plan(*(change(tag=str(number)) for number in range(500))), limit=5_000)
    rows = shown.count("| + create")

    assert f"\n… and {500 - rows} more in this mirror.\n" in shown
    assert shown.endswith(f"\n… and {500 - rows} more changes were left out; `imgsync show plan.json` shows all.\n")


def test_huge_plans_are_rendered_fast():
    """20,000 changes take about a second."""
    huge = plan(*(change(tag=str(number), mirror=f"m{number % 50}") for number in range(20_000)), mirrors=())
    began = time.process_time()
    _ = huge.id
    identity = time.process_time() - began

    shown = render_plan_markdown(huge)

    assert time.process_time() - began - 2 * identity < 1
    assert 50_000 < len(shown) <= 60_000


def test_filters_are_explained_on_request():
    """Each step with what it kept and dropped."""
    from imgsync.plan.model import FilterStep

    notes = MirrorNotes("a", "s.io", ("r.io/m",), "mirrors.d/a.yaml", 3, steps=(FilterStep("s.io/app", "semver", 2, tuple(f"v{n}" for n in range(25))),))
    shown = render_plan_markdown(plan(change(), mirrors=(notes,)), explain=True)

    assert "- `s.io/app` semver: 2 left, 25 dropped: `v0` `v1`" in shown
    assert "`v19` and 5 more" in shown
    assert "semver" not in render_plan_markdown(plan(change(), mirrors=(notes,)))


def test_too_small_limit_of_a_report_is_a_programming_error():
    """A limit below the sums raises."""
    with pytest.raises(ValueError, match="at least 1000"):
        render_plan_markdown(plan(), limit=999)


def test_gitlab_widget_gets_three_numbers():
    """And nothing else."""
    assert render_gitlab_summary(of_each_action()) == {"create": 1, "update": 1, "delete": 1}
    assert render_gitlab_summary(plan(mirrors=(NOTES,))) == {"create": 0, "update": 0, "delete": 0}
