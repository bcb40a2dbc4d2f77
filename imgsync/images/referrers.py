"""
Read the referrers of an image: signatures, attestations, SBOMs.

They are found through the referrers API or the fallback tag, and through cosign's tags. An image without referrers costs one request: to the
API, or for the list of tags. Spec: distribution-spec 1.1 "Listing Referrers".
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imgsync.errors import NotFoundError, UnsupportedContentError
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image
from imgsync.oci.referrers_api import list_referrers
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.media_types import normalize_media_type
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import find_unlisted, format_fallback_tag, is_fallback_index, is_referrers_tag, list_artifact_types, list_cosign_tags
from imgsync.oci.spec.select_platforms import SelectedPlatforms
from imgsync.oci.tag_names import list_tags_in_one_page

_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Referrer:
    """One referrer; `tag` is set if cosign named it so."""

    image: Image
    subject: str
    tag: str = ""

    @property
    def root(self) -> Manifest:
        """Return the manifest of the referrer."""
        return self.image.root


@dataclass(frozen=True, slots=True)
class Referrers:
    """
    The referrers of an image, each after its subject.

    `indexes` are the source's fallback indexes by subject; `warnings` name what was skipped.
    """

    found: tuple[Referrer, ...] = ()
    indexes: tuple[tuple[str, Manifest], ...] = ()
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.found)


@dataclass(frozen=True, slots=True)
class _Named:
    """
    The listed referrers of one subject.

    `index` is the digest of the fallback index, `tags` are cosign's tags with their digests.
    """

    digests: tuple[str, ...] = ()
    index: str = ""
    tags: tuple[tuple[str, str], ...] = ()


class ReferrerReader:
    """
    Finds referrers; one per run.

    Each digest and each list of tags is read once.
    """

    def __init__(self, cache: ManifestCache) -> None:
        """Share manifests through *cache*."""
        self._cache = cache
        self._named: dict[tuple[Repository, str], _Named] = {}
        self._tags: dict[Repository, Mapping[str, str] | None] = {}
        self._locks: dict[Repository, threading.Lock] = {}
        # Subjects with a referrer that is listed but missing, and the images they belong to.
        self._incomplete_subjects: dict[Repository, set[str]] = {}
        self._incomplete_images: set[tuple[Repository, str]] = set()

    def learn_tags(self, repository: Repository, tags: Iterable[tuple[str, str]]) -> None:
        """Learn the tags of *repository*; unknown digests are ""."""
        self._tags[repository] = {tag: digest for tag, digest in tags if is_referrers_tag(tag)}

    def summarize(self, repository: Repository, digest: str) -> str | None:
        """
        Return the referrer tags of *digest* as one line.

        None if the tags of *repository* are unknown.

        Records keep this line. If a listed referrer is missing, the line differs from any later one, so that the next run looks again.
        """
        known = self._tags.get(repository)
        if known is None:
            return None
        named = [f"{tag}={known[tag]}" for tag in (format_fallback_tag(digest), *list_cosign_tags(digest)) if tag in known]
        return " ".join([*named, *(["?"] if (repository, digest) in self._incomplete_images else [])])

    def read(
        self,
        client: RegistryClient,
        repository: Repository,
        digest: str,
        *,
        parts: Iterable[str] = (),
        types: Sequence[str] | bool,
        limit: int,
        follow: bool = True,
    ) -> Referrers:
        """
        Return the referrers of an image.

        Args:
            client: The source.
            repository: The repository of the image.
            digest: The image; "" if only its parts are read.
            parts: Manifests below the image; their referrers are found through known tags only.
            types: Artifact types to read; True for all, False for none.
            limit: Requests at once.
            follow: Read the referrers of referrers as well.

        Raises:
            ImgsyncError: A registry fails, or there are more than 1000 referrers.
        """
        if types is False:
            return Referrers()
        search = _Search(client, repository, None if types is True else frozenset(map(normalize_media_type, types)), limit, follow=follow)
        search.waiting.extend((subject, subject == digest) for subject in (digest, *parts) if subject)
        while search.waiting:
            subject, query = search.waiting.popleft()
            if subject not in search.seen:
                search.seen.add(subject)
                self._gather(search, subject, self._find(client, repository, subject, query=query))
        if search.seen & self._incomplete_subjects.get(repository, set()):
            self._incomplete_images.add((repository, digest))
        return Referrers(tuple(search.found), tuple(search.indexes), tuple(search.warnings))

    def _gather(self, search: _Search, subject: str, named: _Named) -> None:
        for digest in named.digests:
            self._add(search, subject, digest, "")
        for tag, digest in named.tags:
            self._add(search, subject, digest, tag)
        if named.index:
            search.indexes.append((subject, pull_manifest(search.client, search.repository.with_digest(named.index), self._cache)))

    def _add(self, search: _Search, subject: str, digest: str, tag: str) -> None:
        if len(search.found) >= _LIMIT:
            raise UnsupportedContentError(f"the image has more than {_LIMIT} referrers", hint="set `referrers: false`, or name artifact types")
        try:
            manifest = pull_manifest(search.client, search.repository.with_digest(digest), self._cache)
        except NotFoundError:
            self._note_missing(search.repository, subject)
            search.warnings.append(f"{search.repository.with_digest(digest)} is listed as a referrer of {subject}, but does not exist; skipped")
            return
        if not tag and (manifest.subject is None or manifest.subject.digest != subject):
            search.warnings.append(
                f"{search.repository.with_digest(digest)} is listed as a referrer of {subject}, but does not name it as its subject; skipped"
            )
            return
        if search.types is not None and not list_artifact_types(manifest) & search.types:
            return
        image = read_image(search.client, search.repository, SelectedPlatforms(manifest), cache=self._cache, limit=search.limit)
        search.found.append(Referrer(image, subject, tag))
        # Registries do not know referrers of what a cosign tag names.
        if search.follow:
            search.waiting.append((digest, not tag))

    def _find(self, client: RegistryClient, repository: Repository, subject: str, *, query: bool) -> _Named:
        """
        Return the referrers listed for *subject*.

        Without *query*, only known tags are used.
        """
        key = (repository, subject)
        if key not in self._named:
            listed = list_referrers(client, repository, subject) if query else None
            has_api = listed is not None or (not query and bool(client.capabilities.has_referrers))
            tags = self._list_tags(client, repository) if query else self._tags.get(repository) or {}
            index = None if has_api else self._pull_fallback_index(client, repository, subject, tags)
            self._named[key] = _Named(
                digests=tuple(one.digest for one in (listed or (index.children if index is not None else ()))),
                index=index.digest if index is not None else "",
                tags=tuple(self._find_cosign_tags(client, repository, subject, tags)),
            )
        return self._named[key]

    def _pull_fallback_index(self, client: RegistryClient, repository: Repository, subject: str, tags: Mapping[str, str] | None) -> Manifest | None:
        tag = format_fallback_tag(subject)
        if tags is not None and tag not in tags:
            return None
        try:
            index = pull_manifest(client, repository.with_tag(tag), self._cache)
        except NotFoundError:
            if tags is not None:
                self._note_missing(repository, subject)
            return None
        return index if is_fallback_index(index, subject) else None

    def _find_cosign_tags(self, client: RegistryClient, repository: Repository, subject: str, tags: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
        for tag in list_cosign_tags(subject):
            digest = "" if tags is None else tags.get(tag)
            if digest == "":
                found = client.resolve(repository.with_tag(tag))
                digest = found.digest if found is not None else None
                if found is None and tags is not None:
                    self._note_missing(repository, subject)
            if digest:
                yield tag, digest

    def _note_missing(self, repository: Repository, subject: str) -> None:
        self._incomplete_subjects.setdefault(repository, set()).add(subject)

    def _list_tags(self, client: RegistryClient, repository: Repository) -> Mapping[str, str] | None:
        """Return the referrer tags of *repository*, if one page suffices."""
        with self._locks.setdefault(repository, threading.Lock()):
            if repository not in self._tags:
                self._tags[repository] = _list_referrer_tags(client, repository)
            return self._tags[repository]


class _Search:
    """The state of one search."""

    def __init__(self, client: RegistryClient, repository: Repository, types: frozenset[str] | None, limit: int, *, follow: bool) -> None:
        self.client = client
        self.repository = repository
        self.types = types
        self.limit = limit
        self.follow = follow
        self.found: list[Referrer] = []
        self.indexes: list[tuple[str, Manifest]] = []
        self.warnings: list[str] = []
        self.seen: set[str] = set()
        self.waiting: deque[tuple[str, bool]] = deque()


def count_missing(client: RegistryClient, repository: Repository, referrers: Referrers) -> int:
    """
    Return how many of *referrers* the destination *repository* lacks.

    Costs one request per subject, and one per cosign tag; without the referrers API also one per referrer.

    Raises:
        RegistryError: The destination fails.
    """
    missing = 0
    for subject in dict.fromkeys(one.subject for one in referrers.found if not one.tag):
        own = [one.root for one in referrers.found if one.subject == subject and not one.tag]
        missing += _count_missing_of(client, repository, subject, own)
    for one in referrers.found:
        if one.tag:
            found = client.resolve(repository.with_tag(one.tag))
            missing += found is None or not one.root.matches(found.digest)
    return missing


def _count_missing_of(client: RegistryClient, repository: Repository, subject: str, referrers: Sequence[Manifest]) -> int:
    listed = list_referrers(client, repository, subject)
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


def _list_referrer_tags(client: RegistryClient, repository: Repository) -> dict[str, str] | None:
    try:
        tags = list_tags_in_one_page(client, repository)
    except NotFoundError:
        return None
    return None if tags is None else {tag: "" for tag in tags if is_referrers_tag(tag)}
