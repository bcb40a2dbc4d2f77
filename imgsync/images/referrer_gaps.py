"""Find what a destination lacks of the referrers of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto

from imgsync.errors import NotFoundError, UnsupportedContentError
from imgsync.images.referrers import Referrers
from imgsync.oci.image_store import ImageStore, Resolved
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.referrers import find_unlisted, format_fallback_tag, list_entries
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class ReferrerGaps:
    """
    How many referrers a destination lacks, and how many are outdated.

    `others` are cosign tags that hold signatures of others there, so that the source's are left out.
    """

    missing: int = 0
    outdated: int = 0
    others: tuple[Reference, ...] = ()


class TagContent(Enum):
    """What the destination's cosign tag holds, compared with the source's."""

    COMPLETE = auto()
    """All that the source's holds, and perhaps more."""

    OUTDATED = auto()
    """A part of it, or what imgsync pushed: the source's takes its place."""

    OTHER = auto()
    """Something that the source's does not hold, and not all that it holds. Only one manifest fits into a tag, so the tag stays as it is."""


def find_gaps(client: ImageStore, repository: Repository, referrers: Referrers, *, pushed_tags: Mapping[str, str]) -> ReferrerGaps:
    """
    Return what the destination *repository* lacks of *referrers*.

    Costs one request per subject, and one per cosign tag, or two if it differs; without the referrers API also one per referrer.

    Args:
        client: The destination.
        repository: Where the image is.
        referrers: Those of the source.
        pushed_tags: The digests of cosign tags when the image was last copied.

    Raises:
        RegistryError: The destination fails.
    """
    missing = outdated = 0
    others: list[Reference] = []
    for subject in dict.fromkeys(one.subject for one in referrers.found if not one.tag):
        own = [one.root for one in referrers.found if one.subject == subject and not one.tag]
        missing += _count_missing_of(client, repository, subject, own)
    for one in referrers.found:
        if one.tag:
            reference = repository.with_tag(one.tag)
            served = client.resolve(reference)
            content = None if served is None else compare_tag(client, reference, served, one.root, pushed_digest=pushed_tags.get(one.tag, ""))
            missing += content is None
            outdated += content is TagContent.OUTDATED
            others += [reference] if content is TagContent.OTHER else []
    return ReferrerGaps(missing, outdated, tuple(others))


def compare_tag(client: ImageStore, reference: Reference, served: Resolved, source: Manifest, *, pushed_digest: str) -> TagContent:
    """
    Compare the cosign tag *reference* at the destination with *source*.

    cosign keeps a set under its tag: each signature is a layer, and signing again adds one.

    Args:
        client: The destination.
        reference: The tag there.
        served: What it names now.
        source: The manifest that the source's tag names.
        pushed_digest: What imgsync pushed there, "" if unknown.

    Raises:
        RegistryError: The destination fails.
    """
    if source.matches(served.digest):
        return TagContent.COMPLETE
    if served.digest == pushed_digest:
        return TagContent.OUTDATED
    try:
        held = list_entries(served.manifest or client.pull_manifest(reference))
    except UnsupportedContentError:
        return TagContent.OTHER
    except NotFoundError:
        # Gone meanwhile; or a bundle, which knows its digest alone. `bundle load` compares again.
        return TagContent.OUTDATED
    expected = list_entries(source)
    return TagContent.COMPLETE if expected <= held else TagContent.OUTDATED if held <= expected else TagContent.OTHER


def _count_missing_of(client: ImageStore, repository: Repository, subject: str, referrers: Sequence[Manifest]) -> int:
    listed = client.list_referrers(repository, subject)
    if listed is not None:
        return sum(not any(one.matches(entry.digest) for entry in listed) for one in referrers)
    try:
        index = client.pull_manifest(repository.with_tag(format_fallback_tag(subject)))
    except NotFoundError:
        return len(referrers)
    # If the registry reads the tag as the digest of the image, nothing can be listed there.
    unlisted = [] if index.matches(subject) else find_unlisted(index if index.is_index else None, referrers)
    # A fallback index may list what was deleted.
    return len(unlisted) + sum(client.resolve(repository.with_digest(one.digest)) is None for one in referrers if one not in unlisted)
