"""
Select the tags of a repository that a mirror declares.

Pure: the caller passes the time and looks up creation dates.

Spec: docs/reference/configuration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from imgsync.filters.globs import compile_expression, compile_glob
from imgsync.filters.natural_order import make_natural_key
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.filters.order import CreatedAt, OrderStep


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
    order: str | None = None
    max_age_seconds: float | None = None
    min_age_seconds: float | None = None
    min_age_except: tuple[str, ...] = ()
    at_least: int = 1
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One filter step: how many tags it left, and those dropped."""

    name: str
    left: int
    dropped: tuple[str, ...]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected tags in natural order, and the steps, "listed" first."""

    tags: tuple[str, ...]
    steps: tuple[Step, ...]


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
        for name, left, remark in _run_steps(listed, tag_filter, created_at=created_at, now=now):
            kept = set(left)
            dropped = tuple(tag for tag in chosen if tag not in kept)
            chosen = [tag for tag in chosen if tag in kept]
            steps.append(Step(name, len(chosen), dropped, remark))
    if tag_filter.names:
        selected = {*tag_filter.names, *chosen}
        chosen = [tag for tag in listed if tag in selected]
        steps.append(Step("names", len(chosen), ()))
    return Selection(tuple(chosen), tuple(steps))


def _has_filters(tag_filter: TagFilter) -> bool:
    patterns = (tag_filter.include, tag_filter.regex, tag_filter.semver, tag_filter.extract, tag_filter.exclude, tag_filter.exclude_regex)
    return any(patterns) or tag_filter.newest is not None or tag_filter.newest_per is not None or tag_filter.max_age_seconds is not None


def _run_steps(listed: list[str], tag_filter: TagFilter, *, created_at: CreatedAt, now: datetime) -> Iterator[OrderStep]:
    """Yield each configured step and the tags left after it."""
    left = listed
    extract_text = _make_extract(tag_filter.extract)
    is_excluded, is_excluded_by_regex = _make_glob_test(tag_filter.exclude), _make_regex_test(tag_filter.exclude_regex)
    for name, is_set, passes in (
        ("include", tag_filter.include, _make_glob_test(tag_filter.include)),
        ("regex", tag_filter.regex, _make_regex_test(tag_filter.regex)),
        ("extract", tag_filter.extract, lambda tag: extract_text(tag) is not None),
    ):
        if is_set:
            left = [tag for tag in left if passes(tag)]
            yield name, left, ""
    if tag_filter.semver:
        for step in _run_ranges({tag: extract_text(tag) or "" for tag in left}, tag_filter):
            left = step[1]
            yield step
    for name, is_set, drops in (
        ("exclude", tag_filter.exclude, is_excluded),
        ("exclude_regex", tag_filter.exclude_regex, is_excluded_by_regex),
    ):
        if is_set:
            left = [tag for tag in left if not drops(tag)]
            yield name, left, ""
    if tag_filter.max_age_seconds is not None:
        for step in _run_max_age(left, now - timedelta(seconds=tag_filter.max_age_seconds), created_at(left)):
            left = step[1]
            yield step
    if tag_filter.newest is not None or tag_filter.newest_per is not None:
        from imgsync.filters.order import Newest, keep_newest

        # A range decides itself which pre-releases it selects.
        settings = Newest(tag_filter.newest or 1, tag_filter.order, tag_filter.newest_per, tag_filter.prereleases or bool(tag_filter.semver))
        yield from keep_newest({tag: extract_text(tag) or "" for tag in left}, settings, created_at=created_at)


def _run_ranges(texts: Mapping[str, str], tag_filter: TagFilter) -> Iterator[OrderStep]:
    from imgsync.filters.ranges import VersionRange
    from imgsync.filters.versions import read_versions

    ranges = VersionRange(tag_filter.semver)
    versions = read_versions(texts)
    others = len(texts) - len(versions)
    within = [tag for tag, version in versions.items() if ranges.allows(version, prereleases=True) or ranges.allows(version, prereleases=False)]
    yield "semver", within, f"not a semantic version: {others}" if others else ""
    if not tag_filter.prereleases:
        left = [tag for tag in within if ranges.allows(versions[tag], prereleases=False)]
        if len(left) < len(within):
            yield "prereleases", left, ""


def _run_max_age(tags: Sequence[str], oldest: datetime, dates: Mapping[str, datetime | None]) -> Iterator[OrderStep]:
    dated = {tag: date for tag in tags if (date := dates.get(tag)) is not None}
    if len(dated) < len(tags):
        yield "date", list(dated), "no date, or not readable"
    yield "max_age", [tag for tag, date in dated.items() if date >= oldest], ""


def _make_extract(texts: Sequence[str]) -> Callable[[str], str | None]:
    """Return a function that finds the version in a tag."""
    patterns = [compile_expression(text) for text in texts]

    def extract_text(tag: str) -> str | None:
        for pattern in patterns:
            found = pattern.fullmatch(tag)
            if found is not None:
                return str(found.group(1) or "") if pattern.groups else tag
        return None if patterns else tag

    return extract_text


def _make_glob_test(texts: Sequence[str]) -> Callable[[str], bool]:
    globs = [compile_glob(text) for text in texts]
    return lambda tag: any(glob.fullmatch(tag) for glob in globs)


def _make_regex_test(texts: Sequence[str]) -> Callable[[str], bool]:
    patterns = [compile_expression(text) for text in texts]
    return lambda tag: any(pattern.fullmatch(tag) is not None for pattern in patterns)
