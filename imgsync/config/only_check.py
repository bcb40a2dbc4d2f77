"""
Check without a network which images `--only` can select.

What a namespace holds, and which tags exist, only the registry knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from imgsync.config.model import Mirror
from imgsync.config.only import suggest_images
from imgsync.config.only_pattern import OnlyPattern
from imgsync.errors import UsageError
from imgsync.filters.globs import compile_glob, is_glob
from imgsync.filters.tags import has_only_names, select_tags


def check_images(mirrors: Sequence[Mirror], only: Iterable[OnlyPattern]) -> None:
    """
    Check that each pattern of *only* can select an image.

    Raises:
        UsageError: No mirror that it fits can select one.
    """
    for pattern in only:
        fitting = [mirror for mirror in mirrors if pattern.has_mirror(mirror.name)]
        problems = [_find_problem(pattern, mirror) for mirror in fitting]
        if problems and all(problems):
            raise UsageError(f"--only {pattern.text} matches no image that this mirror selects", hint=problems[0])


def _find_problem(pattern: OnlyPattern, mirror: Mirror) -> str:
    """Return a hint if *mirror* can select nothing of *pattern*, else ""."""
    is_excluded = mirror.source.compile_filter().is_excluded
    declared = [path for path in mirror.source.repositories if not is_excluded(path)]
    has_repository: Callable[[str], bool] = compile_glob(pattern.repository or "**").fullmatch
    found = [path for path in declared if has_repository(path)]
    if not found and not mirror.source.namespaces:
        return suggest_images(pattern.repository, {mirror.name: declared})
    return _find_tag_problem(pattern, mirror, found)


def _find_tag_problem(pattern: OnlyPattern, mirror: Mirror, repositories: Sequence[str]) -> str:
    tags, names = mirror.tags, [name.partition("@")[0] for name in mirror.tags.names]
    if not pattern.tag or any(compile_glob(pattern.tag).fullmatch(name) for name in names):
        return ""
    if has_only_names(tags):
        return suggest_images(f"{pattern.repository}:{pattern.tag}", {mirror.name: [f"{path}:{name}" for path in repositories for name in names]})
    if is_glob(pattern.tag):
        return ""
    # Dates, and which tags are the newest, depend on what the registry has.
    alone = replace(tags, names=(), newest=None, newest_per=None, max_age_seconds=None)
    selection = select_tags([pattern.tag], alone, created_at=lambda _: {}, now=datetime.now(UTC))
    dropping = next((step.name for step in selection.steps if step.dropped), "")
    return f"`tags.{dropping}` of mirror {mirror.name} does not select the tag {pattern.tag}" if dropping else ""
