"""Tag selection, globs and versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.filters.globs import compile_glob
from imgsync.filters.natural_order import make_natural_key
from imgsync.filters.tags import TagFilter, has_only_names, select_tags
from imgsync.filters.versions import parse_version

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TAGS = ["latest", "v1.9.0", "v1.10.0", "v1.10.1", "v1.11.0-rc.1", "v2.0.0", "1.10.1-alpine", "edge"]


def select(tag_filter: TagFilter, tags: list[str] | None = None, dates: dict[str, datetime] | None = None) -> list[str]:
    return list(
        select_tags(TAGS if tags is None else tags, tag_filter, created_at=lambda wanted: {tag: (dates or {}).get(tag) for tag in wanted}, now=NOW).tags
    )


@pytest.mark.parametrize(
    ("tag_filter", "expected"),
    [
        (TagFilter(), sorted(TAGS, key=make_natural_key)),
        (TagFilter(names=("latest", "gone")), ["latest"]),
        (TagFilter(include=("v1.*",)), ["v1.9.0", "v1.10.0", "v1.10.1", "v1.11.0-rc.1"]),
        (TagFilter(include=("v1.*",), exclude=("*-rc.*",)), ["v1.9.0", "v1.10.0", "v1.10.1"]),
        (TagFilter(include=("v1.*",), exclude_regex=(r".*-rc\.?\d+", r"v1\.9")), ["v1.9.0", "v1.10.0", "v1.10.1"]),
        (TagFilter(names=("edge",), exclude_regex=(r"v.*", "edge")), ["1.10.1-alpine", "edge", "latest"]),
        (TagFilter(regex=(r"v\d+\.\d+\.\d+",)), ["v1.9.0", "v1.10.0", "v1.10.1", "v2.0.0"]),
        (TagFilter(semver=(">=1.10 <2",)), ["v1.10.0", "v1.10.1"]),
        (TagFilter(semver=(">=1.10 <2",), prereleases=True), ["1.10.1-alpine", "v1.10.0", "v1.10.1", "v1.11.0-rc.1"]),
        (TagFilter(semver=("^2", "~1.9")), ["v1.9.0", "v2.0.0"]),
        (TagFilter(extract=("(.+)-alpine",)), ["1.10.1-alpine"]),
        (TagFilter(extract=("(.+)-alpine",), semver=(">=2",)), []),
        (TagFilter(semver=("*",), newest=2), ["v1.10.1", "v2.0.0"]),
        (TagFilter(semver=("*",), newest=1, newest_per="minor"), ["v1.9.0", "v1.10.1", "v2.0.0"]),
        (TagFilter(semver=("*",), newest_per="major"), ["v1.10.1", "v2.0.0"]),
        (TagFilter(semver=("^2",), names=("latest",)), ["latest", "v2.0.0"]),
        (TagFilter(names=("v1.9.0",), exclude=("v1.9.*",)), ["1.10.1-alpine", "edge", "latest", "v1.9.0", "v1.10.0", "v1.10.1", "v1.11.0-rc.1", "v2.0.0"]),
    ],
)
def test_filters_select_trim_and_add(tag_filter, expected):
    """Each step selects, trims or adds tags."""
    assert select(tag_filter) == expected


def test_max_age_drops_old_and_undated_tags():
    """Only tags with a recent date pass."""
    dates = {"latest": NOW - timedelta(days=1), "edge": NOW - timedelta(days=100)}

    assert select(TagFilter(max_age_seconds=90 * 86400.0), dates=dates) == ["latest"]


def test_newest_without_versions_goes_by_date():
    """Beside versions, words are set aside."""
    dates = {"a": NOW, "b": NOW - timedelta(days=1), "c": NOW - timedelta(days=2)}

    assert select(TagFilter(newest=2), ["a", "b", "c"], dates) == ["a", "b"]
    assert select(TagFilter(newest=2), ["a", "b", "1.0"], dates) == ["1.0"]


def test_dates_are_looked_up_only_when_needed():
    """Not for tags that other steps decide."""
    asked: list[str] = []

    def created_at(tags):
        asked.extend(tags)
        return dict.fromkeys(tags, NOW)

    select_tags(TAGS, TagFilter(semver=("*",), newest=1), created_at=created_at, now=NOW)
    assert asked == []
    select_tags(TAGS, TagFilter(include=("v2*",), max_age_seconds=60.0), created_at=created_at, now=NOW)
    assert asked == ["v2.0.0"]


def test_steps_list_what_each_kept_and_dropped():
    """`--explain` shows them."""
    steps = select_tags(TAGS, TagFilter(semver=(">=1.10 <2",), exclude=("*.0",), names=("edge",)), created_at=lambda tags: {}, now=NOW).steps

    assert [(step.name, step.left) for step in steps] == [("listed", 8), ("semver", 4), ("prereleases", 2), ("exclude", 1), ("names", 2)]
    assert steps[3].dropped == ("v1.10.0",)


def test_names_alone_need_no_listing():
    """Names are the whole selection only without filters."""
    assert has_only_names(TagFilter(names=("a",)))
    assert not has_only_names(TagFilter(names=("a",), include=("*",)))
    assert not has_only_names(TagFilter())


@given(st.lists(st.sampled_from(TAGS)), st.integers(1, 5), st.booleans())
def test_selection_is_part_of_the_listing_and_sorted(tags, newest, prereleases):
    """Selected tags are listed, unique and in natural order."""
    tag_filter = TagFilter(semver=("*",), newest=newest, prereleases=prereleases, names=("edge",))

    found = select(tag_filter, tags)

    assert set(found) <= set(tags)
    assert found == sorted(set(found), key=make_natural_key)
    assert found == select(tag_filter, list(reversed(tags)))


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("v1.3?.*", "v1.31.2", True), ("v1.3?.*", "v1.3.2", False), ("a/*", "a/b", True), ("a/*", "a/b/c", False), ("a/**", "a/b/c", True),
        ("**/c", "c", True), ("a/**/c", "a/c", True), ("[a-c]x", "bx", True), ("[!a-c]x", "bx", False), ("[!a]x", "/x", False),
        ("a.b", "axb", False), ("*", "", True), ("é*", "éa", True),
    ],
)  # fmt: skip
def test_globs_match_whole_texts(glob, text, fits):
    """Globs match whole texts; a star stays within a path part."""
    assert compile_glob(glob).fullmatch(text) is fits


@pytest.mark.row("DOS-13")
def test_globs_and_expressions_run_in_linear_time():
    """Also with patterns that stall backtracking engines."""
    assert not compile_glob("*a" * 30 + "b").fullmatch("a" * 128)
    assert select(TagFilter(regex=("(a+)+b",)), ["a" * 128]) == []


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.2.3", "1.2.3"),
        ("1.27", "1.27.0"),
        ("3", "3.0.0"),
        ("1.2.3-rc.1+build", "1.2.3-rc.1"),
        ("1.2.3rc1", "1.2.3-rc1"),
        ("2025.02.03", "2025.2.3"),
        ("1234567", None),
        ("1.2.3.4", None),
        ("latest", None),
        ("١.٢", None),
        ("1.2.3\n", None),
    ],
)
def test_versions_fill_missing_parts(text, version):
    """Missing parts of a version are 0."""
    found = parse_version(text)

    assert (None if found is None else str(found)) == version
