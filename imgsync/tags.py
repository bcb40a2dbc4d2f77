"""
Which tags of a repository are wanted. Pure: no network, no clock of its own.

Spec: design.md §2, "A tag is selected when …".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TagFilter:
    """The `tags` block of a mirror, durations in seconds; empty tuples and None mean "not given"."""

    names: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    semver: tuple[str, ...] = ()
    extract: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prereleases: bool = False
    newest: int | None = None
    newest_per: str | None = None
    max_age_seconds: float | None = None
    at_least: int = 1
    at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the pipeline that was given: how many tags it left, and which it dropped, sorted."""

    name: str
    left: int
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected tags in natural order, and how the steps came to them (first step: "listed")."""

    tags: tuple[str, ...]
    steps: tuple[Step, ...]


CreatedAt = Callable[[Sequence[str]], Mapping[str, datetime | None]]
