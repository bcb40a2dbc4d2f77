"""
What refers to an image at the source: signatures, attestations, SBOMs, and what refers to those in turn.

Found by the referrers API, else by the fallback tag, and by cosign's tags. Costs one request per image where there is none:
the API's, or the repository's list of tags. Spec: design.md §2 `referrers`; distribution-spec 1.1 "Listing Referrers".
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from imgsync.errors import NotFoundError, UnsupportedContentError
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image
from imgsync.oci.listing.tag_names import list_tags_in_one_page
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import format_fallback_tag, is_referrers_tag, list_artifact_types, list_cosign_tags

_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Referrer:
    """One referrer: its image (often a bare artifact), the digest it refers to, and the tag it stands under if it is one of cosign's."""

    image: Image
    subject: str
    tag: str = ""

    @property
    def root(self) -> Manifest:
        """Return its own manifest."""
        return self.image.root


@dataclass(frozen=True, slots=True)
class Referrers:
    """Everything that refers to an image, each after what it refers to; the source's fallback indexes by subject; what was passed over."""

    found: tuple[Referrer, ...] = ()
    indexes: tuple[tuple[str, Manifest], ...] = ()
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.found)


@dataclass(frozen=True, slots=True)
class _Named:
    """Digests of what refers to one subject, the digest of the fallback index that named them, and cosign's tags."""

    digests: tuple[str, ...] = ()
    index: str = ""
    tags: tuple[tuple[str, str], ...] = ()


class ReferrerReader:
    """Finds referrers. One per run: what a registry answered about a digest or a repository's tags is asked for once."""

    def __init__(self, cache: ManifestCache) -> None:
        """Begin with nothing known; manifests go through *cache*."""
        self._cache = cache
        self._named: dict[tuple[Repository, str], _Named] = {}
        self._tags: dict[Repository, Mapping[str, str] | None] = {}
        self._locks: dict[Repository, threading.Lock] = {}
        # Subjects of which a referrer was named that was not there, and images below which there is such a subject.
        self._missed: dict[Repository, set[str]] = {}
        self._doubtful: set[tuple[Repository, str]] = set()

    def learn_tags(self, repository: Repository, tags: Iterable[tuple[str, str]]) -> None:
        """Take note of all tags of *repository* with their digests, "" where unknown, so that they need not be asked for."""
        self._tags[repository] = {tag: digest for tag, digest in tags if is_referrers_tag(tag)}

    def summarize(self, repository: Repository, digest: str) -> str | None:
        """
        Return which tags hold referrers of *digest*, as one line to compare; None where the tags of *repository* are not known. Asks nobody.

        Once one was named that is not there, it is another line than any that is told before looking, so that the next run looks again.
        """
        known = self._tags.get(repository)
        if known is None:
            return None
        named = [f"{tag}={known[tag]}" for tag in (format_fallback_tag(digest), *list_cosign_tags(digest)) if tag in known]
        return " ".join([*named, *(["?"] if (repository, digest) in self._doubtful else [])])

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
        Return what refers to the image of *digest* ("" for none), to its *parts* as far as known tags tell, and to the referrers themselves.

        *types* True takes all, a list those of these artifact types, False none. *limit* bounds requests at once. Without *follow* only what refers
        to the image itself is read.

        Raises:
            ImgsyncError: A registry fails, or there are more than 1000.
        """
        if types is False:
            return Referrers()
        search = _Search(client, repository, None if types is True else frozenset(types), limit, follow=follow)
        search.waiting.extend((subject, subject == digest) for subject in (digest, *parts) if subject)
        while search.waiting:
            subject, ask = search.waiting.popleft()
            if subject not in search.seen:
                search.seen.add(subject)
                self._gather(search, subject, self._find(client, repository, subject, ask=ask))
        if search.seen & self._missed.get(repository, set()):
            self._doubtful.add((repository, digest))
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
            self._miss(search.repository, subject)
            search.warnings.append(f"{search.repository.with_digest(digest)} is said to refer to {subject}, but is not there; left out")
            return
        if not tag and (manifest.subject is None or manifest.subject.digest != subject):
            search.warnings.append(f"{search.repository.with_digest(digest)} is said to refer to {subject}, but says itself that it does not; left out")
            return
        if search.types is not None and not list_artifact_types(manifest) & search.types:
            return
        image = read_image(search.client, search.repository, manifest, cache=self._cache, limit=search.limit)
        search.found.append(Referrer(image, subject, tag))
        # What stands under a tag of cosign's has no referrers that a registry would know of.
        if search.follow:
            search.waiting.append((digest, not tag))

    def _find(self, client: RegistryClient, repository: Repository, subject: str, *, ask: bool) -> _Named:
        """Return what is named as referring to *subject*; without *ask* only what known tags tell."""
        key = (repository, subject)
        if key not in self._named:
            listed = client.list_referrers(repository, subject) if ask else None
            has_api = listed is not None or (not ask and bool(client.capabilities.has_referrers))
            tags = self._tags_of(client, repository) if ask else self._tags.get(repository) or {}
            index = None if has_api else self._fallback_index(client, repository, subject, tags)
            self._named[key] = _Named(
                digests=tuple(one.digest for one in (listed or (index.children if index is not None else ()))),
                index=index.digest if index is not None else "",
                tags=tuple(self._cosign(client, repository, subject, tags)),
            )
        return self._named[key]

    def _fallback_index(self, client: RegistryClient, repository: Repository, subject: str, tags: Mapping[str, str] | None) -> Manifest | None:
        tag = format_fallback_tag(subject)
        if tags is not None and tag not in tags:
            return None
        try:
            index = pull_manifest(client, repository.with_tag(tag), self._cache)
        except NotFoundError:
            if tags is not None:
                self._miss(repository, subject)
            return None
        return index if index.is_index else None

    def _cosign(self, client: RegistryClient, repository: Repository, subject: str, tags: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
        for tag in list_cosign_tags(subject):
            digest = "" if tags is None else tags.get(tag)
            if digest == "":
                found = client.resolve(repository.with_tag(tag))
                digest = found.digest if found is not None else None
                if found is None and tags is not None:
                    self._miss(repository, subject)
            if digest:
                yield tag, digest

    def _miss(self, repository: Repository, subject: str) -> None:
        self._missed.setdefault(repository, set()).add(subject)

    def _tags_of(self, client: RegistryClient, repository: Repository) -> Mapping[str, str] | None:
        """Return the referrers' tags of *repository*, None where one page does not hold all, or the registry does not list."""
        with self._locks.setdefault(repository, threading.Lock()):
            if repository not in self._tags:
                self._tags[repository] = _listed_tags(client, repository)
            return self._tags[repository]


class _Search:
    """One search under way."""

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
    Return how many of *referrers* the destination *repository* does not name; those of one subject cost one request, cosign's one each.

    Raises:
        RegistryError: The destination fails.
    """
    missing = 0
    for subject in dict.fromkeys(one.subject for one in referrers.found if not one.tag):
        named = _named_at(client, repository, subject)
        missing += sum(1 for one in referrers.found if one.subject == subject and not one.tag and one.root.digest not in named)
    for one in referrers.found:
        if one.tag:
            found = client.resolve(repository.with_tag(one.tag))
            missing += found is None or found.digest != one.root.digest
    return missing


def _named_at(client: RegistryClient, repository: Repository, subject: str) -> set[str]:
    listed = client.list_referrers(repository, subject)
    if listed is None:
        try:
            listed = client.pull_manifest(repository.with_tag(format_fallback_tag(subject))).children
        except NotFoundError:
            return set()
    return {one.digest for one in listed}


def _listed_tags(client: RegistryClient, repository: Repository) -> dict[str, str] | None:
    try:
        tags = list_tags_in_one_page(client, repository)
    except NotFoundError:
        return None
    return None if tags is None else {tag: "" for tag in tags if is_referrers_tag(tag)}
