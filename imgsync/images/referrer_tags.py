"""
Know the tags of referrers at sources, and notice when they move.

The state keeps a note for each image: its referrer tags with their digests. A later run compares it with the tags as they are now, at the cost
of one HEAD per tag that exists and whose digest no listing has. A note is text such as `sha256-ab….sig=sha256:cd…`, separated by spaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import NotFoundError
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import format_fallback_tag, is_referrers_tag, list_cosign_tags

# In place of a digest: the registry has the referrers API, so the fallback tag does not matter.
_API = "api"
# Makes a note differ from every later one, so that the next run reads the referrers again.
_INCOMPLETE = "?"


class ReferrerTags:
    """The referrer tags of sources; one per run, each tag resolved once."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._listed: dict[Repository, Mapping[str, str] | None] = {}
        # By repository and tag; "" if the tag does not exist.
        self._digests: dict[tuple[Repository, str], str] = {}
        self._listings: SingleFlight[Repository] = SingleFlight()
        self._flights: SingleFlight[tuple[Repository, str]] = SingleFlight()

    def learn(self, repository: Repository, tags: Iterable[tuple[str, str]]) -> None:
        """Learn all tags of *repository*; unknown digests are ""."""
        self._listed[repository] = {tag: digest for tag, digest in tags if is_referrers_tag(tag)}

    def get_listed(self, repository: Repository) -> Mapping[str, str] | None:
        """Return the listed tags of *repository*, None if unknown."""
        return self._listed.get(repository)

    def list(self, client: ImageStore, repository: Repository) -> Mapping[str, str] | None:
        """Return the tags of *repository*, if one page suffices."""
        while repository not in self._listed:
            self._listings.run(repository, lambda: self._listed.update({repository: _list(client, repository)}))
        return self._listed[repository]

    def set_digest(self, repository: Repository, tag: str, digest: str) -> None:
        """Note what *tag* names; "" if it does not exist."""
        self._digests[repository, tag] = digest

    def set_api(self, repository: Repository, subject: str) -> None:
        """Note that the referrers API answers for *subject*, not a tag."""
        tag = format_fallback_tag(subject)
        self._digests[repository, tag] = _API if tag in (self._listed.get(repository) or ()) else ""

    def resolve(self, client: ImageStore, repository: Repository, tag: str) -> str:
        """
        Return the digest of *tag*, "" if it does not exist.

        Raises:
            RegistryError: The source fails.
        """
        key = (repository, tag)

        def look_up() -> None:
            found = client.resolve(repository.with_tag(tag))
            self._digests[key] = found.digest if found is not None else ""

        while key not in self._digests:
            self._flights.run(key, look_up)
        return self._digests[key]

    def has_moved(self, client: ImageStore, repository: Repository, subjects: Iterable[str], note: str) -> bool:
        """
        Return whether the tags of *subjects*, or those in *note*, have moved.

        Raises:
            RegistryError: The source fails.
        """
        noted = parse_note(note)
        now: dict[str, str] = {}
        for tag in _list_tags(subjects, noted):
            known = self._find(repository, tag, noted)
            digest = self.resolve(client, repository, tag) if known is None else known
            if digest:
                now[tag] = digest
        return now != noted

    def make_note(self, repository: Repository, subjects: Iterable[str], note: str, *, is_incomplete: bool) -> str | None:
        """
        Return an image's new note, None if a digest is unknown.

        Sends no requests.

        Args:
            repository: The repository of the image.
            subjects: The image and everything below whose referrers were read.
            note: The earlier note.
            is_incomplete: Whether a listed referrer was missing.
        """
        noted = parse_note(note)
        found = {tag: self._find(repository, tag, noted) for tag in _list_tags(subjects, noted)}
        if None in found.values():
            return None
        return " ".join([*(f"{tag}={digest}" for tag, digest in sorted(found.items()) if digest), *([_INCOMPLETE] if is_incomplete else [])])

    def _find(self, repository: Repository, tag: str, noted: Mapping[str, str]) -> str | None:
        """Return what *tag* names, None if that takes a request."""
        listed = self._listed.get(repository)
        if (repository, tag) in self._digests:
            return self._digests[repository, tag]
        if listed is None:
            # Without a listing, only the tags that were there are known to exist.
            return None if noted.get(tag) not in {None, _API} else noted.get(tag, "")
        return "" if tag not in listed else _API if noted.get(tag) == _API else listed[tag] or None


def parse_note(note: str) -> dict[str, str]:
    """Return the tags in *note*, with their digests."""
    return {tag: digest for tag, _, digest in (one.partition("=") for one in note.split())}


def _list_tags(subjects: Iterable[str], noted: Mapping[str, str]) -> dict[str, None]:
    own = (tag for subject in subjects for tag in (format_fallback_tag(subject), *list_cosign_tags(subject)))
    return dict.fromkeys((*own, *(tag for tag in noted if tag != _INCOMPLETE)))


def _list(client: ImageStore, repository: Repository) -> dict[str, str] | None:
    try:
        tags = client.list_tag_names(repository)
    except NotFoundError:
        return None
    return None if tags is None else {tag: "" for tag in tags if is_referrers_tag(tag)}
