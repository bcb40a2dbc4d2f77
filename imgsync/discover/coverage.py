"""
Decide which images are selected by mirrors, from the declarations alone.

A filter such as `newest` needs a listing: then the answer is undecided, never a guess. Nothing here asks a registry.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum

from imgsync.config.model import Destination, Mirror
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.errors import InvalidReferenceError
from imgsync.filters.tags import TagFilter, has_only_names, select_tags
from imgsync.oci.spec.reference import Reference, Repository, is_pin
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


class Declarations:
    """All mirrors, by what they select."""

    def __init__(self, mirrors: Sequence[Mirror]) -> None:
        """Index *mirrors* by repository and by namespace."""
        self._by_repository: defaultdict[Repository, list[_Declared]] = defaultdict(list)
        self._by_namespace: defaultdict[tuple[str, str], list[_Declared]] = defaultdict(list)
        for number, mirror in enumerate(mirrors):
            declared = _Declared(number, mirror)
            for path in mirror.source.repositories:
                self._by_repository[Repository(mirror.source.registry, path)].append(declared)
            for namespace in mirror.source.namespaces:
                self._by_namespace[mirror.source.registry, namespace].append(declared)

    def find_coverage(self, reference: Reference) -> Coverage:
        """Return whether a mirror selects *reference*."""
        answers = [(one.mirror.name, one.ask(reference)) for one in self._find_mirrors(reference.repository)]
        for covered in (Covered.YES, Covered.UNDECIDED, Covered.NO):
            some = [(name, answer) for name, answer in answers if answer.covered is covered]
            if some:
                reason = "" if covered is Covered.YES else "; ".join(dict.fromkeys(f"{name}: {answer.reason}" for name, answer in some))
                return Coverage(reference, covered, tuple(name for name, _ in some), reason, _HINTS[covered])
        return Coverage(reference, Covered.NO, (), "no mirror selects its repository", _HINTS[Covered.NO])

    def _find_mirrors(self, repository: Repository) -> list[_Declared]:
        """Return the mirrors that select *repository*, in their order."""
        above = itertools.accumulate(repository.path.split("/")[:-1], lambda path, part: f"{path}/{part}")
        near = (*self._by_repository[repository], *(one for namespace in ("", *above) for one in self._by_namespace[repository.registry, namespace]))
        found = {one.number: one for one in near if one.find_relative(repository) is not None}
        return [found[number] for number in sorted(found)]


_HINTS = {
    Covered.YES: "",
    Covered.NO: "add it to a mirror's `tags`, or print mirrors for all that are uncovered: the same command with `-o mirrors`",
    Covered.UNDECIDED: "--live asks the destinations; or pin the image by TAG@DIGEST under `tags.names`",
}


class _Declared:
    """One mirror, ready to be asked about many images."""

    def __init__(self, number: int, mirror: Mirror) -> None:
        self.number = number
        self.mirror = mirror
        self._paths = mirror.source.compile_filter()
        self._repositories = frozenset(mirror.source.repositories)
        self._names = frozenset(mirror.tags.names)
        self._pins = dict(_read_pins(mirror.tags.names))
        self._digests = frozenset(self._pins.values())

    def find_relative(self, repository: Repository) -> str | None:
        """Return the path below the namespace, None if not selected."""
        source, path = self.mirror.source, repository.path
        if source.registry != repository.registry or self._paths.is_excluded(path):
            return None
        if path in self._repositories:
            return path
        if not self._paths.includes(path):
            return None
        # As in a plan: the first namespace that lists it.
        return next((path.removeprefix(f"{namespace}/") for namespace in source.list_namespaces_of(path)), None)

    def ask(self, reference: Reference) -> Answer:
        """Return whether the mirror selects *reference*, of a repository that it selects."""
        if self.mirror.suspend:
            return Answer(Covered.NO, "the mirror is suspended")
        return self._ask_names(reference) or _ask_filters(self.mirror, reference)

    def find_expected_digest(self, reference: Reference) -> str:
        """Return the digest that a destination must serve, "" for any."""
        pinned = self._pins.get(reference.tag, "") if self.mirror.platforms is None else ""
        return reference.digest or pinned

    def _ask_names(self, reference: Reference) -> Answer | None:
        """Return the answer of exact names, None if they do not decide."""
        tag = reference.tag or ("" if reference.digest else _LATEST)
        if reference.digest and reference.digest in self._digests:
            return _ask_platforms(self.mirror, reference)
        if tag in self._pins:
            return Answer(Covered.YES) if not reference.digest else Answer(Covered.NO, f"{tag} is pinned to another digest, {self._pins[tag]}")
        return _ask_digest(reference) if tag and tag in self._names else None


def iter_destinations(mirror: Mirror, reference: Reference) -> Iterator[tuple[Reference, str]]:
    """
    Yield where *mirror* copies *reference*, and the digest it needs there.

    The reference has the digest, if there is one. The digest is "" if any will do.
    """
    declared = _Declared(0, mirror)
    relative = declared.find_relative(reference.repository)
    for destination in mirror.destinations if relative is not None else ():
        # A plan reports a template that gives no valid name.
        with contextlib.suppress(InvalidReferenceError):
            yield _find_target(destination, reference, relative or ""), declared.find_expected_digest(reference)


def _find_target(destination: Destination, reference: Reference, relative: str) -> Reference:
    source = reference.repository
    repository = Repository(destination.registry, expand_repository(destination, source.path, relative=relative, registry=source.registry))
    return repository.with_digest(reference.digest) if reference.digest else repository.with_tag(expand_tag(destination, reference.tag or _LATEST))


def _read_pins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        if is_pin(name):
            tag, at, digest = name.partition("@")
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
