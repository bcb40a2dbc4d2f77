"""
Select the tags of a repository that a mirror declares.

Pure: the caller passes the time and looks up creation dates.

Spec: docs/reference/configuration.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from imgsync.filters.globs import compile_expression, compile_glob
from imgsync.filters.ranges import VersionRange
from imgsync.filters.versions import SemVer, make_natural_key, parse_version

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TagFilter:
    """The `tags` block of a mirror; empty and None mean "not set"."""

    names: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    semver: tuple[str, ...] = ()
    extract: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_regex: tuple[str, ...] = ()
    prereleases: bool = False
    newest: int | None = None
    newest_per: str | None = None
    max_age_seconds: float | None = None
    min_age_seconds: float | None = None
    min_age_except: tuple[str, ...] = ()
    at_least: int = 1
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One filter step: the number of tags left, and those dropped."""

    name: str
    left: int
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected tags in natural order, and the steps, "listed" first."""

    tags: tuple[str, ...]
    steps: tuple[Step, ...]


CreatedAt = Callable[[Sequence[str]], Mapping[str, datetime | None]]


def has_only_names(tag_filter: TagFilter) -> bool:
    """Return whether *tag_filter* is only exact names, so needs no listing."""
    return bool(tag_filter.names) and not _has_filters(tag_filter)


def select_tags(tags: Iterable[str], tag_filter: TagFilter, *, created_at: CreatedAt, now: datetime) -> Selection:
    """
    Apply *tag_filter* to *tags*.

    Args:
        tags: The tags of the repository.

        tag_filter: What the mirror declares.

        created_at: Looks up creation dates; called only for tags whose date decides. A tag without a date fails `max_age`; one that is left out
            could not be read and is not selected.

        now: The time that `max_age` counts back from.

    Raises:
        ValueError: A pattern or range is malformed.
    """
    listed = sorted(set(tags), key=make_natural_key)
    steps = [Step("listed", len(listed), ())]
    if has_only_names(tag_filter):
        chosen = []
    else:
        chosen = listed
        for name, kept in _run_steps(listed, tag_filter, created_at=created_at, now=now):
            dropped = tuple(tag for tag in chosen if tag not in kept)
            chosen = [tag for tag in chosen if tag in kept]
            steps.append(Step(name, len(chosen), dropped))
    if tag_filter.names:
        selected = {*tag_filter.names, *chosen}
        chosen = [tag for tag in listed if tag in selected]
        steps.append(Step("names", len(chosen), ()))
    return Selection(tuple(chosen), tuple(steps))


def _has_filters(tag_filter: TagFilter) -> bool:
    patterns = (tag_filter.include, tag_filter.regex, tag_filter.semver, tag_filter.extract, tag_filter.exclude, tag_filter.exclude_regex)
    return any(patterns) or tag_filter.newest is not None or tag_filter.newest_per is not None or tag_filter.max_age_seconds is not None


def _run_steps(listed: list[str], tag_filter: TagFilter, *, created_at: CreatedAt, now: datetime) -> Iterator[tuple[str, set[str]]]:
    """Yield each configured step and the tags left after it."""
    left = listed
    versions = _Versions(tag_filter.extract)
    ranges = VersionRange(tag_filter.semver)
    is_excluded, is_excluded_by_regex = _make_glob_test(tag_filter.exclude), _make_regex_test(tag_filter.exclude_regex)
    tests: list[tuple[str, bool, Callable[[str], bool]]] = [
        ("include", bool(tag_filter.include), _make_glob_test(tag_filter.include)),
        ("regex", bool(tag_filter.regex), _make_regex_test(tag_filter.regex)),
        ("extract", bool(tag_filter.extract), lambda tag: versions.extract_text(tag) is not None),
        ("semver", bool(tag_filter.semver), lambda tag: versions.is_within(tag, ranges, prereleases=tag_filter.prereleases)),
        ("exclude", bool(tag_filter.exclude), lambda tag: not is_excluded(tag)),
        ("exclude_regex", bool(tag_filter.exclude_regex), lambda tag: not is_excluded_by_regex(tag)),
    ]
    for name, is_set, passes in tests:
        if is_set:
            left = [tag for tag in left if passes(tag)]
            yield name, set(left)
    if tag_filter.max_age_seconds is not None:
        dates = created_at(left)
        oldest = now - timedelta(seconds=tag_filter.max_age_seconds)
        left = [tag for tag in left if (date := dates.get(tag)) is not None and date >= oldest]
        yield "max_age", set(left)
    if tag_filter.newest is not None or tag_filter.newest_per is not None:
        left = _keep_newest(left, tag_filter, versions, created_at=created_at)
        yield "newest", set(left)


def _keep_newest(tags: list[str], tag_filter: TagFilter, versions: _Versions, *, created_at: CreatedAt) -> list[str]:
    """Return the newest tags by version, then by date."""
    count = 1 if tag_filter.newest is None else tag_filter.newest
    lines: dict[object, list[str]] = defaultdict(list)
    undated = [tag for tag in tags if versions.parse(tag) is None]
    dates = created_at(undated) if undated else {}
    unreadable = {tag for tag in undated if tag not in dates}
    for tag in (one for one in tags if one not in unreadable):
        lines[_find_release_line(versions.parse(tag), tag_filter.newest_per)].append(tag)

    def rank(tag: str) -> tuple[object, ...]:
        version = versions.parse(tag)
        if version is not None:
            return 1, version.precedence, make_natural_key(tag)
        return 0, dates.get(tag) or _NEVER, make_natural_key(tag)

    return [tag for line in lines.values() for tag in sorted(line, key=rank, reverse=True)[:count]]


def _find_release_line(version: SemVer | None, newest_per: str | None) -> object:
    if newest_per is None:
        return None
    if version is None:
        return "no version"
    return version.release[: 1 if newest_per == "major" else 2]


class _Versions:
    """Find the versions of tags with `extract`; each tag is parsed once."""

    def __init__(self, extract: Sequence[str]) -> None:
        self._extract = [compile_expression(text) for text in extract]
        self._known: dict[str, SemVer | None] = {}

    def extract_text(self, tag: str) -> str | None:
        if not self._extract:
            return tag
        for pattern in self._extract:
            found = pattern.fullmatch(tag)
            if found is not None:
                return str(found.group(1) or "") if pattern.groups else tag
        return None

    def parse(self, tag: str) -> SemVer | None:
        if tag not in self._known:
            text = self.extract_text(tag)
            self._known[tag] = None if text is None else parse_version(text)
        return self._known[tag]

    def is_within(self, tag: str, ranges: VersionRange, *, prereleases: bool) -> bool:
        version = self.parse(tag)
        return version is not None and ranges.allows(version, prereleases=prereleases)


def _make_glob_test(texts: Sequence[str]) -> Callable[[str], bool]:
    globs = [compile_glob(text) for text in texts]
    return lambda tag: any(glob.fullmatch(tag) for glob in globs)


def _make_regex_test(texts: Sequence[str]) -> Callable[[str], bool]:
    patterns = [compile_expression(text) for text in texts]
    return lambda tag: any(pattern.fullmatch(tag) is not None for pattern in patterns)
