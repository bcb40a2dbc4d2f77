"""Converted filters select the same tags as the original tool's rule."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime

import pytest

from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.convert_files import convert_files
from imgsync.filters.tags import select_tags

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_PLAIN = [
    "latest",
    "edge",
    "v1",
    "1",
    "v2",
    "2",
    "3",
    "12",
    "20",
    "main-1.2.3",
    "rc",
    "1.2.3.alpine",
    "alpine",
    "sha-0a1b2c3",
    "nightly",
    "v1.2.x",
    "a",
    "b",
    "ab",
    "ba",
]
_NUMBERED = [
    f"{v}{number}{suffix}"
    for v, number, suffix in itertools.product(
        ("", "v"),
        ("0.0.3", "0.1.0", "0.9", "1.0.0", "1.0", "1.2.0", "1.2.3", "1.2.4", "1.3", "1.10.0", "2.0.0", "2.0", "2.1.5", "3.0.0", "3.9", "3.19.1", "10.0.1"),
        ("", "-rc.1", "-alpine", "-alpine3.19", "-rc1"),
    )
]
TAGS = [*_PLAIN, *_NUMBERED]


def _converted(tmp_path, text: str, *, tags: list[str] | None = None, **options: str) -> set[str]:
    """Return the tags that the mirrors of the one repository select."""
    file = tmp_path / "peer.yml"
    file.write_text(text, encoding="utf-8")
    mirrors = convert_files([str(file)], options=ConvertOptions(**options)).mirrors
    assert len({mirror.source for mirror in mirrors}) == 1
    return {tag for mirror in mirrors for tag in select_tags(TAGS if tags is None else tags, mirror.tags, created_at=lambda _: {}, now=NOW).tags}


def _quoted(texts: list[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


# --- searching -----------------------------------------------------------------------------------------------------------------------

SEARCHES = [
    r"^v\d+$",
    "alpine",
    "^1",
    r"\.0$",
    r"^1\.2\.[34]$",
    "a|b",
    "^a|b$",
    r"^(v?1\.2\.3|latest)$",
    r"^v?\d+\.\d+$",
    "^$",
    r"rc\.?\d",
    r"^[^v]*$",
    r"\d\.\d-(rc|alp)",
    "(?i)ALPINE",
]


@pytest.mark.parametrize("pattern", SEARCHES)
def test_skopeo_searches_within_tags(pattern, tmp_path):
    """`images-by-tag-regex` matches anywhere in a tag."""
    expected = {tag for tag in TAGS if re.search(pattern, tag)}

    assert _converted(tmp_path, f"a.io:\n  images-by-tag-regex:\n    b: '{pattern}'\n", destination="d.io") == expected


@pytest.mark.parametrize("pattern", SEARCHES)
def test_image_syncer_searches_within_tags(pattern, tmp_path):
    """A pattern between slashes matches anywhere in a tag."""
    expected = {tag for tag in TAGS if re.search(pattern, tag)}

    assert _converted(tmp_path, f"images:\n  'a.io/b:/{pattern}/': d.io/b\n") == expected


# --- regsync -------------------------------------------------------------------------------------------------------------------------

ALLOWED = [["latest"], [r"v?\d+"], [r"1\..*", "edge"], ["a|b"], [r"v?1\.2\.\d(-alpine)?"], [], ["3.9"]]
DENIED = [
    [],
    [".*-rc.*"],
    [r".*-alpine(3\.19)?", "v.*"],
    ["a|v1"],
    [r"[0-9]\.[0-9]"],
    [r"v?\d\.\d\.\d"],
    ["latest", ".+rc.?1"],
    [r".*-(rc|beta)\.?\d+", r"v?1\.\d+\.\d+"],
    ["v?[0-9]+(\\.[0-9]+)*", "[a-z]+$|^rc"],
]


@pytest.mark.row("CFG-12")
@pytest.mark.parametrize("denied", DENIED, ids=str)
@pytest.mark.parametrize("allowed", ALLOWED, ids=str)
def test_regsync_allows_and_denies(allowed, denied, tmp_path):
    """Each expression stands between `^` and `$`: `a|b` is `^a` or `b$`."""

    def fits(tag: str, patterns: list[str]) -> bool:
        return any(re.search(f"^{pattern}$", tag) for pattern in patterns)

    expected = {tag for tag in TAGS if (not allowed or fits(tag, allowed)) and not fits(tag, denied)}

    tags = f"{{allow: {_quoted(allowed)}, deny: {_quoted(denied)}}}"
    assert _converted(tmp_path, f"sync:\n  - {{type: repository, source: a.io/b, target: d.io/b, tags: {tags}}}\n") == expected


def _precedence(text: str, *, short: bool) -> tuple[object, ...] | None:
    """Return the precedence of a version, or None."""
    numbers, dash, identifiers = text.removeprefix("v").partition("-")
    parts = numbers.split(".")
    if not all(part.isdigit() for part in parts) or len(parts) > 3 or (dash and not short and len(parts) < 3):
        return None
    padded = [int(part) for part in parts] + [0] * (3 - len(parts))
    if not dash:
        return (*padded, 1)
    return (*padded, 0, *((0, int(one), "") if one.isdigit() else (1, 0, one) for one in identifiers.split(".")))


_BOUND = re.compile(r"(>=|<=|>|<|\^|~|=)?(.+)")


def _regsync_range(text: str, tag: str) -> bool:
    version = _precedence(tag, short=True)
    if version is None:
        return False
    for part in text.split():
        operator, bound_text = _BOUND.fullmatch(part).groups()
        bound = _precedence(bound_text, short=True)
        major, minor, patch = bound[:3]
        above = (major + 1, 0, 0, 1) if major else (0, minor + 1, 0, 1) if minor else (0, 0, patch + 1, 1)
        tests = {
            ">=": version >= bound,
            "<=": version <= bound,
            ">": version > bound,
            "<": version < bound,
            "^": bound <= version < above,
            "~": bound <= version < (major, minor + 1, 0, 1),
        }
        if not tests.get(operator, version == bound):
            return False
    return True


@pytest.mark.parametrize(
    "ranges",
    [
        [">=1.0.0"],
        [">=1.2 <2.0.0"],
        ["^1.2.3"],
        ["~1.2"],
        ["^0.0.3"],
        ["^0.1"],
        [">1.2.0 <=3"],
        ["1.2.3"],
        ["<1"],
        [">=1.0.0 <1.2.0", ">=2.0.0 <3.0.0"],
        [">1.0 <1.0.0"],
        [">=2.0.0-rc.1"],
        [">=1.2.0-alpha <2.0.0-rc.1"],
    ],
    ids=str,
)
@pytest.mark.parametrize("denied", [[], [".*-alpine.*"]], ids=str)
def test_regsync_counts_prereleases_by_precedence(ranges, denied, tmp_path):
    """`2.0.0-rc.1` is less than `2.0.0`, and ranges include pre-releases."""
    expected = {tag for tag in TAGS if any(_regsync_range(text, tag) for text in ranges) and not any(re.search(f"^{one}$", tag) for one in denied)}

    tags = f"{{semverRange: {_quoted(ranges)}, deny: {_quoted(denied)}}}"
    assert _converted(tmp_path, f"sync:\n  - {{type: repository, source: a.io/b, target: d.io/b, tags: {tags}}}\n") == expected


def test_regsync_sets_add_up(tmp_path):
    """A tag is selected if one of the sets, or `tags`, selects it."""
    text = """
sync:
  - type: repository
    source: a.io/b
    target: d.io/b
    tags: {allow: [edge]}
    tagSets:
      - {allow: ['1\\..*'], deny: ['.*-.*']}
      - {semverRange: ['>=3.0.0']}
"""
    expected = {tag for tag in TAGS if tag == "edge" or re.search(r"^1\.[^-]*$", tag) or _regsync_range(">=3.0.0", tag)}

    assert _converted(tmp_path, text) == expected


# --- skopeo's ranges -----------------------------------------------------------------------------------------------------------------

# Each range, and the same in conditions on numbers, after Masterminds/semver; pre-releases are out.
SKOPEO_RANGES = {
    ">= 1.2.0": lambda v: v >= (1, 2, 0),
    ">=1.2, <2.0.0": lambda v: (1, 2, 0) <= v < (2, 0, 0),
    ">1.2": lambda v: v >= (1, 3, 0),
    "<=1.2": lambda v: v < (1, 3, 0),
    "~1.2.3": lambda v: (1, 2, 3) <= v < (1, 3, 0),
    "~>1": lambda v: (1, 0, 0) <= v < (2, 0, 0),
    "^0.1": lambda v: (0, 1, 0) <= v < (0, 2, 0),
    "1.2.x": lambda v: (1, 2, 0) <= v < (1, 3, 0),
    "*": lambda _: True,
    "!=1.2.3": lambda v: v != (1, 2, 3),
    ">=1 != 1.2 <3": lambda v: (1, 0, 0) <= v < (3, 0, 0) and v[:2] != (1, 2),
    "1.0 - 1.2.3": lambda v: (1, 0, 0) <= v <= (1, 2, 3),
    "=> 3 || =1.0.0": lambda v: v >= (3, 0, 0) or v == (1, 0, 0),
}


@pytest.mark.parametrize("text", SKOPEO_RANGES)
def test_skopeo_ranges_select_releases(text, tmp_path):
    """`images-by-semver` in the grammar of Masterminds/semver."""
    releases = {tag: tuple(int(part) for part in f"{tag.removeprefix('v')}.0.0".split(".")[:3]) for tag in TAGS if re.fullmatch(r"v?\d+(\.\d+){0,2}", tag)}
    expected = {tag for tag, version in releases.items() if SKOPEO_RANGES[text](version)}

    assert _converted(tmp_path, f"a.io:\n  images-by-semver:\n    b: '{text}'\n", destination="d.io") == expected


# As Masterminds/semver: pre-releases only where each condition names one.
SKOPEO_PRERELEASES = {
    ">=1.0.0-0": ["1.0.0-alpha", "1.0.0", "1.5.0-rc.1", "1.5.0", "2.0.0-rc.1", "2.0.0"],
    ">=1.0.0-0 <2": ["1.0.0", "1.5.0"],
    ">=1.0.0-0 <2.0.0-0": ["1.0.0-alpha", "1.0.0", "1.5.0-rc.1", "1.5.0"],
    ">=2 || 1.5.0-rc.1": ["1.5.0-rc.1", "2.0.0"],
    ">1.5.0-rc.1 <=2": ["1.5.0", "2.0.0"],
}


@pytest.mark.parametrize("text", SKOPEO_PRERELEASES)
def test_skopeo_ranges_select_prereleases_only_where_named(text, tmp_path):
    """Alternatives may differ."""
    tags = ["0.9.0", "1.0.0-alpha", "1.0.0", "1.5.0-rc.1", "1.5.0", "2.0.0-rc.1", "2.0.0"]

    assert _converted(tmp_path, f"a.io:\n  images-by-semver:\n    b: '{text}'\n", destination="d.io", tags=tags) == set(SKOPEO_PRERELEASES[text])


# --- dregsy --------------------------------------------------------------------------------------------------------------------------


def _dregsy_matches(pattern: str, tag: str) -> bool:
    pattern = pattern.strip()
    found = re.search(f"^{pattern.removeprefix('!')}$", tag) is not None
    return found != pattern.startswith("!")


def _dregsy_range(text: str, tag: str) -> bool:
    version = _precedence(tag, short=False)
    tests = {">=": lambda b: version >= b, "<=": lambda b: version <= b, ">": lambda b: version > b, "<": lambda b: version < b, "=": lambda b: version == b}
    return version is not None and all(
        tests[operator or "="](_precedence(bound, short=False)) for operator, bound in (_BOUND.fullmatch(part).groups() for part in text.split())
    )


def _dregsy(filters: list[str]) -> set[str]:
    names = [text for text in filters if ":" not in text]
    ranges = [text.removeprefix("semver:") for text in filters if text.startswith("semver:")]
    patterns = [text.removeprefix("regex:") for text in filters if text.startswith("regex:")]
    keeps = [text.removeprefix("keep:") for text in filters if text.startswith("keep:") and "latest" not in text]
    limits = [int(text.rpartition(" ")[2]) for text in filters if text.startswith("keep: latest")]
    chosen = {tag for tag in TAGS if any(_dregsy_range(text, tag) for text in ranges) or any(_dregsy_matches(text, tag) for text in patterns)}
    if not names and not ranges and not patterns:
        chosen = set(TAGS)
    chosen = {tag for tag in chosen if all(_dregsy_matches(text, tag) for text in keeps)} | {name for name in names if name in TAGS}
    if limits:
        versions = sorted((tag for tag in chosen if _precedence(tag, short=False)), key=lambda tag: _precedence(tag, short=False), reverse=True)
        chosen = (chosen - set(versions)) | set(versions[: limits[-1]])
    return chosen


@pytest.mark.parametrize(
    "filters",
    [
        ["latest", "edge"],
        [],
        ["semver: >=1.2.0 <2.0.0"],
        ["semver:>=1.0.0", "latest"],
        ["semver: >=1.2.0 <2.0.0", r"regex: v?3\.9-(alpine|rc1)", "3", "latest"],
        ["regex: !v.*"],
        ["regex: !v.*", "regex: v2.*"],
        ["latest", "semver: >=2.0.0", "keep: .+-(alpine|rc1)"],
        ["keep: !.*alpine.*", "keep: !v.*"],
        ["keep: !.*alpine.*", "keep: .+-.+", "edge"],
        ["keep: .+-.+", r"keep: (v|1\.)+.*"],
        ["regex: v.*", r"keep: .*\.\d"],
        ["edge", "semver: >=1.2.0 <=3.0.0", "keep: !v.*", "keep: !.*-.*", "keep: latest 2"],
    ],
    ids=str,
)
def test_dregsy_filters_add_up(filters, tmp_path):
    """Tags, `semver:` and `regex:` add, `keep:` removes, `keep: latest` counts versions."""
    text = f"tasks:\n  - {{name: a, source: {{registry: a.io}}, target: {{registry: d.io}}, mappings: [{{from: b, tags: {_quoted(filters)}}}]}}\n"

    assert _converted(tmp_path, text) == _dregsy(filters)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ("[]", True),
        ("[{}]", True),
        ("[{artifactType: x/y}]", ("x/y",)),
        ("[{annotations: {a: b}}]", False),
        ("[{artifactType: x/y}, {annotations: {a: b}}]", ("x/y",)),
    ],
)
def test_regsync_referrers_are_never_more(filters, expected, tmp_path):
    """Those selected by annotations are skipped."""
    file = tmp_path / "peer.yml"
    file.write_text(f"sync: [{{type: image, source: a.io/b, target: d.io/b, referrers: true, referrerFilters: {filters}}}]\n", encoding="utf-8")

    assert convert_files([str(file)]).mirrors[0].referrers == expected


def test_inexpressible_regsync_step_is_left_out(tmp_path):
    """Nothing is safer than every tag."""
    text = """
sync:
  - {type: repository, source: a.io/left-out, target: d.io/b, tags: {semverRange: ['>=1.0.0.1']}}
  - {type: repository, source: a.io/b, target: d.io/b, tags: {allow: [edge]}}
"""

    assert _converted(tmp_path, text) == {"edge"}
