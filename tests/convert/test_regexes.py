"""Converted expressions match exactly what the original finds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.convert.read_references import select_repositories
from imgsync.convert.regex_to_globs import convert_to_globs, convert_to_name, convert_to_tags
from imgsync.convert.regexes import anchor, drop_captures, match_whole
from imgsync.filters.globs import compile_expression, compile_glob

_ATOMS = st.sampled_from(["a", "b", "1", r"\.", "-", ".", ".*", ".+", "a?", "[ab]", r"\d", "[^a]", "(a|b1)", "(?:b|)", "a{2}", "1*", "[0-9]+", ".?", ".*?"])
_PATTERNS = st.lists(_ATOMS, max_size=5).map("".join)
_SEARCHES = st.tuples(st.sampled_from(["", "^"]), st.lists(_PATTERNS, min_size=1, max_size=3).map("|".join), st.sampled_from(["", "$"])).map("".join)
_TAGS = st.text(alphabet="ab1.-", min_size=1, max_size=6)
_PATHS = st.lists(st.text(alphabet="ab1", min_size=1, max_size=2), min_size=1, max_size=4).map("/".join)


@settings(deadline=None)
@given(_SEARCHES, st.lists(_TAGS, max_size=30))
def test_whole_match_equals_search(search, tags):
    """Our expressions match whole tags; theirs search."""
    whole = compile_expression(match_whole(search))

    assert [whole.fullmatch(tag) is not None for tag in tags] == [re.search(search, tag) is not None for tag in tags]


@settings(deadline=None)
@given(_SEARCHES, st.lists(_TAGS, max_size=30))
def test_globs_equal_search(search, tags):
    """If a glob is produced, it matches the same."""
    found = convert_to_globs(search, crossing=False)
    if found is not None:
        compiled = [compile_glob(text) for text in found]

        assert [any(one.fullmatch(tag) for one in compiled) for tag in tags] == [re.search(search, tag) is not None for tag in tags]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "1", "/", ".*", "(a|b)", ".+", "(.+)", "[ab]"]), max_size=5).map("".join), st.lists(_PATHS, max_size=30))
def test_path_globs_equal_search(pattern, paths):
    """`.*` crosses slashes, and so does `**`."""
    found = convert_to_globs(anchor(pattern), crossing=True)
    if found is not None:
        compiled = [compile_glob(text) for text in found]

        assert [any(one.fullmatch(path) for one in compiled) for path in paths] == [re.search(f"^{pattern}$", path) is not None for path in paths]


@settings(deadline=None)
@given(_PATTERNS.filter(bool), st.lists(_TAGS, max_size=20))
def test_pattern_without_groups_matches_the_same(pattern, tags):
    """Only the groups are removed."""
    before, after = compile_expression(pattern), compile_expression(drop_captures(f"({pattern})"))

    assert after.groups == 0
    assert [after.fullmatch(tag) is not None for tag in tags] == [before.fullmatch(tag) is not None for tag in tags]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (".*", ([""], [])),
        ("library/.*", (["library"], [])),
        ("library/.+", (["library"], [])),
        ("(a|b)/.*", (["a", "b"], [])),
        ("a/b", ([], ["a/b"])),
        ("a/(b|c)", ([], ["a/b", "a/c"])),
        ("a/b.*", None),
        ("a.*", None),
        ("a/.*/b", None),
        ("[ab]", None),
        (r"a-\d+", None),
    ],
)
def test_repositories_are_named_or_below_a_namespace(pattern, expected):
    """Anything else is an expression, below as narrow a namespace as it says."""
    found = select_repositories([anchor(pattern)])

    assert bool(found.regex) == (expected is None)
    if expected is not None:
        assert (list(found.namespaces), list(found.repositories)) == expected


PATHS = ["a/b", "ab", "a/b-x", "a/c/d", "ab/b", "b", "library/a1", "library/a2", "other/library/a1"]


@pytest.mark.parametrize(
    "patterns",
    [
        ["library/a[0-9]+"],
        [r"library/a\d", "b"],
        ["library/.*", "a/.+x"],
        ["a/?b"],
        ["a/b|library/.*"],
        ["(a|ab)/b.*"],
        [r"[^/]+/[^/]+"],
        ["a/.*", r"a/c/\w"],
        [".*a1"],
    ],
    ids=str,
)
def test_selected_repositories_are_those_of_the_original(patterns):
    """Those below the namespaces that match, and the exact ones."""
    source = select_repositories([anchor(pattern) for pattern in patterns])
    rules = source.compile_filter()

    below = {path for path in PATHS if any(not one or path.startswith(f"{one}/") for one in source.namespaces) and rules.includes(path)}

    assert below | set(source.repositories) == {path for path in PATHS if any(re.search(anchor(pattern), path) for pattern in patterns)}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["library/(a|b)[0-9]+"], ["library"]),
        (["my-team/a[0-9]+", "library/b.?"], ["my-team", "library"]),
        (["library/a[0-9]+", "b.?"], [""]),
        (["library/?a[0-9]+"], [""]),
        (["library/a[0-9]+|b"], [""]),
        (["l.brary/a[0-9]+"], [""]),
        (["library/.*", "team/a[0-9]+"], ["team", "library"]),
    ],
)
def test_expressions_are_searched_in_few_namespaces(patterns, expected):
    """Some registries cannot list all their repositories."""
    assert list(select_repositories([anchor(pattern) for pattern in patterns]).namespaces) == expected


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("^2.7.0$", ("2.7.0",)),
        (r"^(v1\.0|v1.1)$", ("v1.0", "v1.1")),
        ("^v?1$", ("1", "v1")),
        ("^a|b$", None),
        ("^1.*$", None),
        ("^1.$", ("1.",)),
        ("^[12]$", None),
        ("^$", None),
        ("^.x$", None),
    ],
)
def test_fixed_tags_are_found(search, expected):
    """A dot that stands alone is a dot."""
    assert convert_to_tags(search) == expected


@pytest.mark.parametrize(
    ("search", "expected"), [("^latest$", "latest"), (r"^v1\.2$", "v1.2"), ("^1.2$", None), ("latest", None), ("^a|b$", None), ("^[a]$", None)]
)
def test_plain_name_matches_only_itself(search, expected):
    """A dot that means any character is not a plain dot."""
    assert convert_to_name(search) == expected


@pytest.mark.parametrize("search", ["^*$", "^?a", "^+b$", "^$", "", "^", "$", "^a|", "|"])
def test_odd_anchors_match_as_in_re2(search):
    """Repeated anchors and empty alternatives."""
    whole, theirs = compile_expression(match_whole(search)), compile_expression(search)

    for tag in ("a", "b", "ab", "1"):
        assert (whole.fullmatch(tag) is not None) == (theirs.search(tag) is not None), tag


def test_nested_groups_are_refused_fast():
    """Also many alternatives."""
    assert convert_to_globs(f"^{'(' * 900}a{')' * 900}$", crossing=False) is None
    assert convert_to_globs("^" + "(a|b)" * 40 + "$", crossing=False) is None
