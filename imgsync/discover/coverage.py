"""
Decide which images are selected by mirrors, from the declarations alone.

A filter such as `newest` needs a listing: then the answer is undecided, never a guess. Nothing here asks a registry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

from imgsync.config.model import Destination, Mirror
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.errors import InvalidReferenceError
from imgsync.filters.repositories import RepositoryFilter
from imgsync.filters.tags import TagFilter, has_only_names, select_tags
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.system.dataclass import dataclass

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LISTED = {"newest": "newest", "newest_per": "newest_per", "max_age_seconds": "max_age"}
_LATEST = "latest"


class Covered(StrEnum):
    """Whether a mirror has an image."""

    YES = "covered"
    NO = "uncovered"
    UNDECIDED = "undecided"
    """The declarations alone do not decide it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one mirror says about an image, and why."""

    covered: Covered
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Coverage:
    """
    Whether the mirrors have an image.

    Attributes:
        reference: The image.
        covered: The answer.
        mirrors: The names of the mirrors that select it, or may.
        reason: Why it is not covered, or why that is undecided; "" if it is covered.
        hint: What to do about it.
    """

    reference: Reference
    covered: Covered
    mirrors: tuple[str, ...] = ()
    reason: str = ""
    hint: str = ""


def find_coverage(reference: Reference, mirrors: Sequence[Mirror]) -> Coverage:
    """Return whether *mirrors* select *reference*."""
    answers = [(mirror, answer) for mirror in mirrors if (answer := ask_mirror(mirror, reference)) is not None]
    for covered in (Covered.YES, Covered.UNDECIDED, Covered.NO):
        some = [(mirror, answer) for mirror, answer in answers if answer.covered is covered]
        if some:
            reason = "" if covered is Covered.YES else "; ".join(dict.fromkeys(f"{mirror.name}: {answer.reason}" for mirror, answer in some))
            return Coverage(reference, covered, tuple(mirror.name for mirror, _ in some), reason, _HINTS[covered])
    return Coverage(reference, Covered.NO, (), "no mirror selects its repository", _HINTS[Covered.NO])


_HINTS = {
    Covered.YES: "",
    Covered.NO: "`imgsync discover PATH -o mirrors` prints a mirror for each image",
    Covered.UNDECIDED: "--live asks the destinations; or pin the image by TAG@DIGEST under `tags.names`",
}


def ask_mirror(mirror: Mirror, reference: Reference) -> Answer | None:
    """Return whether *mirror* selects *reference*, None if another repository."""
    if find_relative(mirror, reference.repository) is None:
        return None
    if mirror.suspend:
        return Answer(Covered.NO, "the mirror is suspended")
    return _ask_names(mirror, reference) or _ask_filters(mirror, reference)


def find_relative(mirror: Mirror, repository: Repository) -> str | None:
    """Return the path of *repository* below its namespace, None if not selected."""
    source, path = mirror.source, repository.path
    if source.registry != repository.registry or _compile_filter(source).is_excluded(path):
        return None
    if path in source.repositories:
        return path
    if not _compile_filter(source).includes(path):
        return None
    below = (namespace for namespace in source.namespaces if not namespace or path.startswith(f"{namespace}/"))
    # As in a plan: the last namespace that lists it.
    return next((path[len(namespace) + 1 :] if namespace else path for namespace in reversed(tuple(below))), None)


def iter_destinations(mirror: Mirror, reference: Reference) -> Iterator[Reference]:
    """Yield where *mirror* copies *reference*, by the digest if it has one."""
    relative = find_relative(mirror, reference.repository)
    for destination in mirror.destinations if relative is not None else ():
        # A plan reports a template that gives no valid name.
        try:
            yield _find_target(destination, reference, relative or "")
        except InvalidReferenceError:
            continue


def find_expected_digest(mirror: Mirror, reference: Reference) -> str:
    """Return the digest that destinations must serve, "" for any."""
    pinned = dict(_read_pins(mirror.tags.names)).get(reference.tag, "") if mirror.platforms is None else ""
    return reference.digest or pinned


def _find_target(destination: Destination, reference: Reference, relative: str) -> Reference:
    source = reference.repository
    repository = Repository(destination.registry, expand_repository(destination, source.path, relative=relative, registry=source.registry))
    return repository.with_digest(reference.digest) if reference.digest else repository.with_tag(expand_tag(destination, reference.tag or _LATEST))


@lru_cache(maxsize=4096)
def _compile_filter(source: object) -> RepositoryFilter:
    return source.compile_filter()  # type: ignore[attr-defined, no-any-return]


def _ask_names(mirror: Mirror, reference: Reference) -> Answer | None:
    """Return the answer of exact names, None if they do not decide."""
    tag = reference.tag or ("" if reference.digest else _LATEST)
    pins = dict(_read_pins(mirror.tags.names))
    if reference.digest and reference.digest in pins.values():
        return _ask_platforms(mirror, reference)
    if tag in pins:
        return Answer(Covered.YES) if not reference.digest else Answer(Covered.NO, f"{tag} is pinned to another digest, {pins[tag]}")
    if tag and tag in mirror.tags.names:
        return _ask_digest(reference)
    return None


def _read_pins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        tag, at, digest = name.partition("@")
        if at or ":" in name:
            yield (tag, digest) if at else (name, name)


def _ask_filters(mirror: Mirror, reference: Reference) -> Answer:
    tags = mirror.tags
    if has_only_names(tags):
        return Answer(Covered.NO, "not among `tags.names`")
    if not reference.tag and reference.digest:
        return Answer(Covered.UNDECIDED, "which tag has this digest is not known")
    tag = reference.tag or _LATEST
    if is_referrers_tag(tag):
        return Answer(Covered.NO, "tags of referrers are copied with their image only")
    dropped = _find_dropping_step(tag, tags)
    if dropped:
        return Answer(Covered.NO, f"`{dropped}` drops the tag")
    limits = [name for field, name in _LISTED.items() if getattr(tags, field) is not None]
    if limits:
        return Answer(Covered.UNDECIDED, f"`{'` and `'.join(limits)}` depend{'s' if len(limits) == 1 else ''} on the other tags of the source")
    return _ask_digest(reference)


def _find_dropping_step(tag: str, tags: TagFilter) -> str:
    """Return the filter that always drops *tag*, "" if none does."""
    alone = replace(tags, names=(), newest=None, newest_per=None, max_age_seconds=None)
    steps = select_tags([tag], alone, created_at=lambda _: {}, now=_EPOCH).steps
    return next((step.name for step in steps if not step.left), "")


def _ask_digest(reference: Reference) -> Answer:
    """Return the answer for a selected tag."""
    if reference.digest:
        return Answer(Covered.UNDECIDED, f"the tag {reference.tag} is selected, and may have another digest by now")
    return Answer(Covered.YES)


def _ask_platforms(mirror: Mirror, reference: Reference) -> Answer:
    """Return the answer for a selected digest."""
    if mirror.platforms is not None:
        return Answer(Covered.UNDECIDED, f"`platforms` may give {reference.tag or 'the image'} another digest")
    return Answer(Covered.YES)
