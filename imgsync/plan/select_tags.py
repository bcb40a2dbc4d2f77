"""Select tags of one source repository."""

from __future__ import annotations

from imgsync.config.model import Mirror
from imgsync.errors import NotFoundError
from imgsync.filters.tags import has_only_names, select_tags
from imgsync.listing.lister import Lister
from imgsync.listing.model import ListedTag, TagListing
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.reference import Repository, is_pin
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.plan.context import PlanContext
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.mirror_plan import SelectedTags
from imgsync.plan.model import FilterStep
from imgsync.plan.plan_error import make_plan_error
from imgsync.plan.tag_dates import TagDates


def select_repository_tags(mirror: Mirror, found: SourceRepository, client: RegistryClient, lister: Lister, *, context: PlanContext) -> SelectedTags:
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
        return SelectedTags(found, (*pinned, *named), steps=())
    listing = found.listing or _list_tags(mirror, found.repository, lister)
    context.referrers.tags.learn(found.repository, ((tag.name, tag.digest or "") for tag in listing.tags))
    overruled = {tag.name.partition("@")[0] for tag in pinned}
    known = {tag.name: tag for tag in listing.tags if tag.name not in overruled and (not is_referrers_tag(tag.name) or tag.name in names)}
    dates = TagDates(mirror, found.repository, listing, client=client, cache=context.manifests)
    selection = select_tags(list(known), mirror.tags, created_at=dates, now=context.now)
    unlisted = [tag for tag in named if tag.name not in known and tag.name not in overruled]
    # A listing may hide a tag, so one of a repository that is named exactly is asked for.
    asked, missing = (unlisted, []) if is_named_exactly(mirror, found.repository) else ([], unlisted)
    return SelectedTags(
        found,
        (*pinned, *(known[name] for name in selection.tags), *asked),
        steps=tuple(FilterStep(str(found.repository), step.name, step.left, step.dropped, step.remark) for step in selection.steps),
        warnings=listing.warnings,
        # A tag that is selected by name is read again, and reported then.
        errors=tuple(make_plan_error(mirror, str(found.repository.with_tag(tag)), error) for tag, error in dates.errors.items() if tag not in selection.tags),
        missing=tuple(tag.name for tag in missing),
    )


def is_named_exactly(mirror: Mirror, repository: Repository) -> bool:
    """Return whether *mirror* names *repository*, rather than a namespace."""
    return repository.path in mirror.source.repositories


def _list_tags(mirror: Mirror, repository: Repository, lister: Lister) -> TagListing:
    try:
        return lister.tags(repository.path)
    except NotFoundError as error:
        if is_named_exactly(mirror, repository):
            raise
        # Registries still list repositories without tags. It may also be hidden from us, so nothing of it is pruned.
        return TagListing((), warnings=(f"{repository} is listed, but its tags are unknown; treated as empty: {error.message}",))
