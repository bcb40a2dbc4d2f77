"""
Select the tags of a repository that a mirror declares.

Pure: the caller passes the time and looks up creation dates.

Spec: docs/reference/configuration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from imgsync.filters.globs import compile_expression, compile_glob
from imgsync.filters.natural_order import make_natural_key
from imgsync.system.dataclass import dataclass
from imgsync.system.packed_rows import pack_texts

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

    tags: Collection[str]
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
    return select_sorted_tags(tuple(sorted(set(tags), key=make_natural_key)), tag_filter, created_at=created_at, now=now)


def select_sorted_tags(listed: Collection[str], tag_filter: TagFilter, *, created_at: CreatedAt, now: datetime) -> Selection:
    """
    Apply *tag_filter* to *listed*, distinct tags in natural order.

    Otherwise as `select_tags`. What only patterns select is read tag by tag.
    """
    steps = [Step("listed", len(listed), ())]
    chosen: Collection[str] = () if has_only_names(tag_filter) else _run_steps(listed, tag_filter, steps, created_at=created_at, now=now)
    if tag_filter.names:
        chosen = pack_texts(_add_names(listed, chosen, frozenset(tag_filter.names)))
        steps.append(Step("names", len(chosen), ()))
    return Selection(chosen, tuple(steps))


def _has_filters(tag_filter: TagFilter) -> bool:
    patterns = (tag_filter.include, tag_filter.regex, tag_filter.semver, tag_filter.extract, tag_filter.exclude, tag_filter.exclude_regex)
    return any(patterns) or tag_filter.newest is not None or tag_filter.newest_per is not None or tag_filter.max_age_seconds is not None


def _run_steps(listed: Collection[str], tag_filter: TagFilter, steps: list[Step], *, created_at: CreatedAt, now: datetime) -> Collection[str]:
    """Return the tags that all configured steps leave; add each to *steps*."""
    extract_text = _make_extract(tag_filter.extract)
    choosing = (
        ("include", tag_filter.include, _make_glob_test(tag_filter.include)),
        ("regex", tag_filter.regex, _make_regex_test(tag_filter.regex)),
        ("extract", tag_filter.extract, lambda tag: extract_text(tag) is not None),
    )
    excludes, excludes_by_regex = _make_glob_test(tag_filter.exclude), _make_regex_test(tag_filter.exclude_regex)
    excluding = (
        ("exclude", tag_filter.exclude, lambda tag: not excludes(tag)),
        ("exclude_regex", tag_filter.exclude_regex, lambda tag: not excludes_by_regex(tag)),
    )
    left = _run_tests(listed, [(name, passes) for name, is_set, passes in choosing if is_set], steps)
    if tag_filter.semver:
        left = _take_steps(left, _run_ranges({tag: extract_text(tag) or "" for tag in left}, tag_filter), steps)
    left = _run_tests(left, [(name, passes) for name, is_set, passes in excluding if is_set], steps)
    if tag_filter.max_age_seconds is not None:
        dated = tuple(left)
        left = _take_steps(left, _run_max_age(dated, now - timedelta(seconds=tag_filter.max_age_seconds), created_at(dated)), steps)
    if tag_filter.newest is not None or tag_filter.newest_per is not None:
        from imgsync.filters.order import Newest, keep_newest

        # A range decides itself which pre-releases it selects.
        settings = Newest(tag_filter.newest or 1, tag_filter.order, tag_filter.newest_per, tag_filter.prereleases or bool(tag_filter.semver))
        left = _take_steps(left, keep_newest({tag: extract_text(tag) or "" for tag in left}, settings, created_at=created_at), steps)
    return left


def _run_tests(tags: Collection[str], tests: Sequence[tuple[str, Callable[[str], bool]]], steps: list[Step]) -> Collection[str]:
    """Return the *tags* that pass all *tests*; add a step for each."""
    if not tests:
        return tags
    dropped: list[list[str]] = [[] for _ in tests]

    def iter_passing() -> Iterator[str]:
        for tag in tags:
            failed = next((place for place, (_, passes) in enumerate(tests) if not passes(tag)), None)
            if failed is None:
                yield tag
            else:
                dropped[failed].append(tag)

    passing, left = pack_texts(iter_passing()), len(tags)
    for (name, _), some in zip(tests, dropped, strict=True):
        left -= len(some)
        steps.append(Step(name, left, tuple(some)))
    return passing


def _take_steps(tags: Collection[str], found: Iterable[OrderStep], steps: list[Step]) -> Collection[str]:
    """Return the *tags* that all steps *found* leave; add each step."""
    for name, left, remark in found:
        kept = set(left)
        dropped = tuple(tag for tag in tags if tag not in kept)
        tags = tuple(tag for tag in tags if tag in kept)
        steps.append(Step(name, len(tags), dropped, remark))
    return tags


def _add_names(listed: Iterable[str], chosen: Iterable[str], names: Collection[str]) -> Iterator[str]:
    """Yield those of *listed* that are *chosen*, or have one of *names*."""
    rest = iter(chosen)
    following = next(rest, None)
    for tag in listed:
        if tag == following:
            following = next(rest, None)
            yield tag
        elif tag in names:
            yield tag


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
