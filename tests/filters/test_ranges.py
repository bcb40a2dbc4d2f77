"""Version ranges select what npm selects, in bounded time."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.filters.ranges import parse_range
from imgsync.filters.versions import parse_version
from tests.filters.npm_ranges import GREATER, LEFT_OUT, LEFT_OUT_WITH_PRERELEASES, SELECTED, SELECTED_WITH_PRERELEASES


def selects(text: str, tag: str, *, prereleases: bool = False) -> bool:
    version = parse_version(tag)
    return version is not None and parse_range(text).allows(version, prereleases=prereleases)


@pytest.mark.parametrize(("table", "prereleases", "expected"), [
    (SELECTED, False, True), (SELECTED_WITH_PRERELEASES, True, True), (LEFT_OUT, False, False), (LEFT_OUT_WITH_PRERELEASES, True, False),
])  # fmt: skip
def test_every_published_fixture_of_npm_holds(table, prereleases, expected):
    """`prereleases` is npm's includePrerelease; imgsync reads as npm's loose mode does."""
    # npm drops `foo`; here it is an error.
    tables = [(text, tags) for text, tags in table.items() if text != "== 1.0.0 || foo"]
    wrong = [(text, tag) for text, tags in tables for tag in tags.split() if selects(text, tag, prereleases=prereleases) is not expected]

    assert wrong == []


def test_range_with_words_is_an_error_where_npm_drops_them():
    """npm's loose mode drops `foo`, which would select less than was written."""
    with pytest.raises(ValueError, match=re.escape("invalid version range '== 1.0.0 || foo'")):
        parse_range("== 1.0.0 || foo")


def test_precedence_is_that_of_npm():
    """The first of each pair is greater."""
    pairs = [[parse_version(tag) for tag in line.split()] for line in GREATER]

    assert [pair for pair in pairs if not pair[0].precedence > pair[1].precedence] == []


@pytest.mark.parametrize(("text", "tags", "prereleases", "expected"), [
    ("~1.31.0-0", "v1.30.9 v1.31.0-rc.1 v1.31.0 v1.31.4 v1.32.0", True, "v1.31.0-rc.1 v1.31.0 v1.31.4"),
    ("~1.31.0-0", "v1.31.0-rc.1 v1.31.1-rc.1 v1.31.4", False, "v1.31.0-rc.1 v1.31.4"),
    (">=2.1.0-rc.1", "2.0.0 2.1.0-rc.0 2.1.0-rc.1 2.1.0 2.2.0-rc.1", False, "2.1.0-rc.1 2.1.0"),
    ("<=2.0.0-rc.2", "1.9.0 2.0.0-rc.1 2.0.0-rc.2 2.0.0 2.0.1", False, "1.9.0 2.0.0-rc.1 2.0.0-rc.2"),
    (">=2.0.0-rc.2 <2.0.0", "1.9.0 2.0.0-rc.1 2.0.0-rc.2 2.0.0", True, "2.0.0-rc.2"),
    ("2.0.0-rc.2", "2.0.0-rc.1 2.0.0-rc.2 2.0.0 2.0.1", True, "2.0.0-rc.2"),
    ("2.0.0-rc.2", "2.0.0-rc.1 2.0.0-rc.2 2.0.0 2.0.1", False, "2.0.0-rc.2"),
    (">=1 <2", "1.0.0 2.0.0-rc.1 1.5.0-rc.1", True, "1.0.0 1.5.0-rc.1"),
    ("", "1.0.0 2.0.0-rc.1 latest", False, "1.0.0"),
    (" ", "1.0.0", False, "1.0.0"),
    ("~> 1.2", "1.2.9 1.3.0", False, "1.2.9"),
    (">=\t1 <\n2", "1.2 2.0", False, "1.2"),
    (">=24.4", "24.04 24.10 23.10 2024.01.05", False, "24.04 24.10 2024.01.05"),
    (">=1", "1234567 deadbee 20240131 1234567-amd64", False, "20240131"),
    (">=3.12", "3.12.0rc1 3.13rc1 8u402 3.13-rc", True, "3.12.0rc1 3.13-rc"),
])  # fmt: skip
def test_ranges_select_tags_as_npm_does(text, tags, prereleases, expected):
    """Pre-releases, spaces after operators, zeros in front and hashes included."""
    assert [tag for tag in tags.split() if selects(text, tag, prereleases=prereleases)] == expected.split()


@pytest.mark.parametrize(("text", "reason"), [
    (">=24.04", "'24.04' has a leading zero; write 24.4"),
    (">=1 <v024.00.1", "'024.00.1' has a leading zero; write 24.0.1"),
    (">=1 , <2", "separate conditions by a space, not by a comma"),
    (">=1 foo", "'>=1 foo'; write one such as '>=1.29 <2'"),
    (">=1,<2", "separate conditions by a space, not by a comma"),
    (f">={2**53}", "a number that is too large"),
    (f"^1.{'9' * 400}.0", "a number that is too large"),
])  # fmt: skip
def test_error_names_the_reason(text, reason):
    """So that the range can be corrected."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_range(text)


@pytest.mark.parametrize("text", ["a b", ">=1 <", "=>1", "1.x.5", "x.1", "^1 - 2", "1.2.3.4", "1.2-rc", "1.2.3-a..b", "> =1", "1.2.3 -2", "٣"])
def test_malformed_range_is_quoted_in_the_error(text):
    """With an example of a good one."""
    with pytest.raises(ValueError, match=re.escape(f"invalid version range {text!r}")):
        parse_range(text)


def test_error_of_a_long_range_names_the_part():
    """A range of 200 KiB does not fill the screen."""
    with pytest.raises(ValueError, match="invalid version range 'foo…'") as found:
        parse_range(" || ".join([">=1"] * 15_000 + ["foo"]))

    assert len(str(found.value)) < 300


def make_hostile(count: int) -> list[str]:
    alternatives = [f">=1.{index}.0-rc.1 <1.{index}.5" for index in range(count)]
    return [" || ".join(alternatives), " ".join(f">=1.{index}" for index in range(count)), f">={' ' * count * 20}!", ">" * count, "x-" * count, "1." * count]


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize("hostile", range(6))
def test_thousands_of_alternatives_are_read_in_linear_time(hostile):
    """Neither parsing nor a lookup is quadratic."""
    tags = [parse_version(f"1.{minor}.{patch}{suffix}") for minor in range(100) for patch in range(3) for suffix in ("", "-rc.2")]
    began = time.process_time()

    with contextlib.suppress(ValueError):
        parsed = parse_range(make_hostile(4_000)[hostile])
        for version in tags * 2:
            parsed.allows(version, prereleases=False)
            parsed.allows(version, prereleases=True)

    assert time.process_time() - began < 3


@given(st.text(alphabet="0123456789.xX*vV ^~<>=-+|,ab\t", max_size=40), st.sampled_from(["1.2.3", "0.0.0-0", "2.0.0-rc.1", "20240131"]), st.booleans())
def test_any_text_is_a_range_or_a_value_error(text, tag, prereleases):
    """A range never raises anything else, and never selects a pre-release only without `prereleases`."""
    try:
        found = parse_range(text)
    except ValueError:
        return
    version = parse_version(tag)

    assert version is not None
    assert not (not version.prerelease and found.allows(version, prereleases=False) and not found.allows(version, prereleases=True))
