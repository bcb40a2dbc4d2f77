"""Select tags of one source repository, and find those that are gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from imgsync.config.model import Mirror
from imgsync.errors import NotFoundError
from imgsync.filters.tags import has_only_names, select_sorted_tags
from imgsync.listing.model import ListedTag, StoreLister, TagListing, pack_in_order
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.reference import Repository, is_pin
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.plan.context import PlanContext
from imgsync.plan.find_gone import GoneFinder
from imgsync.plan.gone_tag import Absence
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.mirror_plan import SelectedTags
from imgsync.plan.model import FilterStep, PlanError
from imgsync.plan.nearby_tags import describe_tags
from imgsync.plan.plan_error import make_missing_error, make_plan_error
from imgsync.plan.tag_dates import TagDates
from imgsync.system.packed_rows import pack_texts


def select_repository_tags(
    mirror: Mirror, found: SourceRepository, client: ImageStore, lister: StoreLister, *, context: PlanContext, finder: GoneFinder
) -> SelectedTags:
    """
    Return the selected tags of one repository.

    Exact names need no listing. Tags that hold referrers are copied with their image; they are selected only by exact name.

    Raises:
        RegistryError: The listing fails.
    """
    names = mirror.tags.names
    pinned = [ListedTag(name, digest=name.rpartition("@")[2]) for name in sorted(names) if is_pin(name)]
    named = [ListedTag(name) for name in sorted(names) if not is_pin(name)]
    if found.listing is None and has_only_names(mirror.tags) and not (lister.has_digests_in_one_request and len(named) > 1):
        return SelectedTags(found, (*pinned, *named), steps=(), unlisted=frozenset(names))
    listing, absence = _list_tags(mirror, found, lister, finder)
    context.referrers.tags.learn(found.repository, ((tag.name, tag.digest or "") for tag in listing.tags))
    overruled = {tag.name.partition("@")[0] for tag in pinned}
    offer = _Offer(listing, overruled=overruled, declared=frozenset(names))
    dates = TagDates(mirror, found.repository, listing, client=client, cache=context.manifests)
    selection = select_sorted_tags(offer.names, mirror.tags, created_at=dates, now=context.now)
    listed = frozenset(name for name in offer.names if name in names) if named else frozenset()
    unlisted = [tag for tag in named if tag.name not in listed and tag.name not in overruled]
    is_exact, is_judged = is_named_exactly(mirror, found.repository), absence is Absence.NO_REPOSITORY or not listing.warnings
    # A listing may hide a tag, so one of a repository that is named exactly is asked for, unless the repository does not exist.
    asked, missing = (unlisted, []) if is_exact and absence is not Absence.NO_REPOSITORY else ([], unlisted)
    if is_exact and absence is Absence.NO_REPOSITORY:
        pinned, missing = [], [*pinned, *missing]
    gone = finder.find_names(found, (tag.name for tag in missing), absence) if is_judged else ()
    denied = {tag.source for tag in gone}
    lacking = [tag.name for tag in missing if found.repository.with_name(tag.name) not in denied]
    return SelectedTags(
        replace(found, listing=None),
        offer.take(pinned, selection.tags, asked),
        steps=tuple(FilterStep(str(found.repository), step.name, step.left, step.dropped, step.remark) for step in selection.steps),
        warnings=listing.warnings,
        errors=(*_explain_dates(mirror, found.repository, dates, selection.tags), *_explain_lacking(mirror, found.repository, lacking if is_exact else ())),
        missing=() if is_exact else tuple(lacking),
        gone=gone + finder.find_unlisted(found, listing, absence, selection=selection, dates=dates.known) if is_judged else (),
        returned=finder.list_returned(found, listing),
        unlisted=frozenset(tag.name for tag in (*pinned, *asked)),
        is_judged=is_judged,
    )


class _Offer:
    """The tags of a listing that can be selected."""

    def __init__(self, listing: TagListing, *, overruled: Collection[str], declared: Collection[str]) -> None:
        """
        Leave out *overruled* tags, which are those of pins.

        Leave out referrers too, unless they are *declared* by name.
        """
        self._listing = listing
        self._overruled = overruled
        self._declared = declared
        self.names = pack_texts(tag.name for tag in self)

    def __iter__(self) -> Iterator[ListedTag]:
        """Yield each tag, in natural order."""
        for tag in self._listing.tags:
            if tag.name not in self._overruled and (not is_referrers_tag(tag.name) or tag.name in self._declared):
                yield tag

    def take(self, before: Sequence[ListedTag], names: Collection[str], after: Sequence[ListedTag]) -> Collection[ListedTag]:
        """Return the tags with *names*, in natural order, between the others."""
        if len(names) == len(self._listing.tags) and not (before or after):
            # Nearly always.
            self._listing.tags.pack()
            return self._listing.tags
        return pack_in_order(chain(before, self._iter_named(names), after))

    def _iter_named(self, names: Iterable[str]) -> Iterator[ListedTag]:
        rest = iter(names)
        following = next(rest, None)
        for tag in self:
            if tag.name == following:
                yield tag
                following = next(rest, None)


def is_named_exactly(mirror: Mirror, repository: Repository) -> bool:
    """Return whether *mirror* names *repository*, rather than a namespace."""
    return repository.path in mirror.source.repositories


def _explain_dates(mirror: Mirror, repository: Repository, dates: TagDates, selected: Collection[str]) -> Iterator[PlanError]:
    """Yield the tags whose date cannot be read."""
    # A tag that is selected by name is read again, and reported then.
    yield from (make_plan_error(mirror, str(repository.with_tag(tag)), error) for tag, error in dates.errors.items() if tag not in selected)


def _explain_lacking(mirror: Mirror, repository: Repository, names: Sequence[str]) -> Iterator[PlanError]:
    """Yield the exact names of a repository that does not exist."""
    yield from (make_missing_error(mirror, repository.with_name(name), describe_tags(name, (), repository)) for name in names)


def _list_tags(mirror: Mirror, found: SourceRepository, lister: StoreLister, finder: GoneFinder) -> tuple[TagListing, Absence]:
    """Return the tags of *found*, and what absence from them means."""
    try:
        listing = found.listing or lister.tags(found.repository.path)
    except NotFoundError as error:
        if not is_named_exactly(mirror, found.repository):
            # Registries still list repositories without tags. It may also be hidden from us, so nothing of it is pruned.
            warning = f"{found.repository} is listed, but its tags are unknown; treated as empty: {error.message}"
            return TagListing(warnings=(warning,)), Absence.NO_REPOSITORY
        if not finder.knows(found):
            raise
        return TagListing(), Absence.NO_REPOSITORY
    return listing, Absence.UNLISTED if listing.tags else Absence.EMPTY_LIST
