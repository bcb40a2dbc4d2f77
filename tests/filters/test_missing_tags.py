"""Which tags would be selected if the source still had them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.filters.missing_tags import select_missing_tags
from imgsync.filters.tags import TagFilter, select_tags

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DATES = {f"v{major}.{minor}": NOW - timedelta(days=30 * (4 - major) + (3 - minor)) for major in range(1, 5) for minor in range(3)}
filters = st.builds(
    TagFilter,
    names=st.sampled_from(((), ("v1.0",))),
    include=st.sampled_from(((), ("v[1-3].*",))),
    exclude=st.sampled_from(((), ("*.1",))),
    newest=st.sampled_from((None, 1, 2, 3)),
    newest_per=st.sampled_from((None, "major")),
    order=st.sampled_from((None, "version", "semver")),
    max_age_seconds=st.sampled_from((None, 45 * 86400.0)),
) | st.builds(TagFilter, newest=st.sampled_from((1, 3)), order=st.just("date"))


def dates_of(tags):
    return {tag: DATES[tag] for tag in tags}


def missing_of(missing, listed, tag_filter) -> set[str]:
    """Return which of *missing* would be selected, pushed a day after they were made."""
    selection = select_tags(listed, tag_filter, created_at=dates_of, now=NOW)
    latest = {tag: DATES[tag] + timedelta(days=1) for tag in missing}
    return set(select_missing_tags(latest, selection, tag_filter, dates=dates_of(listed), now=NOW))


@pytest.mark.row("REG-31")
@given(filters, st.sets(st.sampled_from(sorted(DATES)), min_size=1), st.data())
def test_hiding_tags_unselects_none(tag_filter, tags, data):
    """Whatever a source hides, what was selected counts as selected: `prune` deletes nothing more."""
    selected = set(select_tags(tags, tag_filter, created_at=dates_of, now=NOW).tags) - set(tag_filter.names)
    hidden = data.draw(st.sets(st.sampled_from(sorted(tags))))

    assert hidden & selected <= missing_of(hidden, tags - hidden, tag_filter)


@pytest.mark.parametrize(
    ("tag_filter", "missing", "expected"),
    [
        (TagFilter(), {"v1.0", "v4.2"}, {"v1.0", "v4.2"}),
        (TagFilter(names=("v4.2",)), {"v1.0"}, set()),
        (TagFilter(include=("v4*",)), {"v1.0", "v4.2"}, {"v4.2"}),
        (TagFilter(newest=2), {"v1.0", "v4.2"}, {"v4.2"}),
        (TagFilter(newest=1, newest_per="major"), {"v1.0", "v1.2", "v4.1", "v4.2"}, {"v1.0", "v1.2", "v4.1", "v4.2"}),
        (TagFilter(max_age_seconds=45 * 86400.0), {"v1.0", "v4.2"}, {"v4.2"}),
        (TagFilter(newest=2, order="date"), {"v1.0", "v4.2"}, {"v4.2"}),
    ],
    ids=["all", "names", "include", "newest", "newest per", "max_age", "date"],
)
def test_missing_tag_is_judged_by_every_setting(tag_filter, missing, expected):
    """Of a source that has v2.* and v3.*."""
    listed = {tag for tag in DATES if tag[1] in "23"}

    assert missing_of(missing, listed, tag_filter) == expected


def test_unknown_order_counts_as_selected():
    """No deletion follows where the order cannot be determined."""
    tag_filter = TagFilter(newest=1, order="version")
    selection = select_tags(["nightly"], replace(tag_filter, newest=None), created_at=dates_of, now=NOW)

    assert select_missing_tags({"edge": NOW}, selection, tag_filter, dates={}, now=NOW) == ("edge",)


@pytest.mark.parametrize("tag_filter", [TagFilter(newest=10), TagFilter(newest=2, newest_per="minor"), TagFilter(max_age_seconds=1e7)])
def test_many_missing_tags_are_judged_together(tag_filter, monkeypatch):
    """As if each were judged alone, in a few selections."""
    tags = [f"v{major}.{minor}.{patch}" for major in range(2) for minor in range(5) for patch in range(10)]
    selection = select_tags(tags[::2], tag_filter, created_at=date_now, now=NOW)
    missing = dict.fromkeys(tags[1::2], NOW)
    alone = {tag for tag in missing if tag in select_tags([*selection.tags, tag], tag_filter, created_at=date_now, now=NOW).tags}
    calls = []
    monkeypatch.setattr("imgsync.filters.missing_tags.select_tags", lambda *given, **options: calls.append(1) or select_tags(*given, **options))

    found = set(select_missing_tags(missing, selection, tag_filter, dates=date_now(tags), now=NOW))

    assert found == alone
    assert len(calls) <= 15


def date_now(tags):
    return dict.fromkeys(tags, NOW)
