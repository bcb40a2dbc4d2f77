"""
Read the referrers of an image: signatures, attestations, SBOMs.

They are found through the referrers API or the fallback tag, and through cosign's tags. An image without referrers costs one request: to the
API, or for the list of tags. Spec: distribution-spec 1.1 "Listing Referrers".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from imgsync.concurrency.single_flight import SingleFlight
from imgsync.errors import ContentMismatchError, ImgsyncError, NotFoundError, UnsupportedContentError
from imgsync.images.image import Image, ManifestCache, pull_manifest, read_image
from imgsync.images.referrer_errors import is_final
from imgsync.images.referrer_tags import ReferrerTags
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.media_types import normalize_media_type
from imgsync.oci.spec.reference import Repository
from imgsync.oci.spec.referrers import format_fallback_tag, is_fallback_index, list_artifact_types, list_cosign_tags
from imgsync.oci.spec.select_platforms import SelectedPlatforms
from imgsync.system.dataclass import dataclass

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

    `indexes` are the source's fallback indexes by subject; `warnings` name what was skipped. `error` says why others could not be read.
    """

    found: tuple[Referrer, ...] = ()
    indexes: tuple[tuple[str, Manifest], ...] = ()
    warnings: tuple[str, ...] = ()
    error: ImgsyncError | None = None

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.found)


@dataclass(frozen=True, slots=True)
class _Named:
    """
    The listed referrers of one subject.

    `index` is the digest of the fallback index, `tags` are cosign's tags with their digests. `problem` says why no list could be read.
    """

    digests: tuple[str, ...] = ()
    index: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    problem: str = ""


class ReferrerReader:
    """
    Finds referrers; one per run.

    Each digest and each list of tags is read once.
    """

    def __init__(self, cache: ManifestCache) -> None:
        """Share manifests through *cache*."""
        self._cache = cache
        # By subject, and whether the registry was asked: tags alone do not show all referrers.
        self._named: dict[tuple[Repository, str, bool], _Named] = {}
        self._flights: SingleFlight[tuple[Repository, str, bool]] = SingleFlight()
        self.tags = ReferrerTags()
        # What was read for an image: itself, its parts, and their referrers.
        self._subjects: dict[tuple[Repository, str], dict[str, None]] = {}
        # Subjects with a referrer that is listed but missing, and the images they belong to.
        self._incomplete_subjects: dict[Repository, set[str]] = {}
        self._incomplete_images: set[tuple[Repository, str]] = set()

    def has_moved(self, client: ImageStore, repository: Repository, digest: str, note: str) -> bool:
        """
        Return whether the referrer tags of an image differ from its *note*.

        With *digest* "", only the tags in *note* count.

        Raises:
            RegistryError: The source fails.
        """
        return self.tags.has_moved(client, repository, (digest,) if digest else (), note)

    def make_note(self, repository: Repository, digest: str, note: str) -> str | None:
        """
        Return the note of an image, None if unknown.

        If a listed referrer is missing, the note differs from any later one, so that the next run looks again.
        """
        key = (repository, digest)
        return self.tags.make_note(repository, self._subjects.get(key, (digest,)), note, is_incomplete=key in self._incomplete_images)

    def read(
        self,
        client: ImageStore,
        repository: Repository,
        digest: str,
        *,
        parts: Iterable[str] = (),
        types: Sequence[str] | bool,
        limit: int,
        follow: bool = True,
        noted_as: str = "",
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
            noted_as: The image that the state keeps a note for, if it is not *digest*.

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
        key = (repository, noted_as or digest)
        if follow:
            self._subjects.setdefault(key, {}).update(dict.fromkeys(search.seen))
        if search.seen & self._incomplete_subjects.get(repository, set()):
            self._incomplete_images.add(key)
        return Referrers(tuple(search.found), tuple(search.indexes), tuple(search.warnings), search.error)

    def _gather(self, search: _Search, subject: str, named: _Named) -> None:
        if named.problem:
            search.warnings.append(f"the list of referrers of {search.repository.with_digest(subject)} is damaged; skipped: {named.problem}")
        for tag, digest in (*(("", digest) for digest in named.digests), *named.tags):
            if len(search.found) >= _LIMIT:
                raise UnsupportedContentError(f"the image has more than {_LIMIT} referrers", hint="set `referrers: false`, or name artifact types")
            try:
                self._add(search, subject, digest, tag)
            except ImgsyncError as error:
                if not is_final(error):
                    raise
                search.error = search.error or error
        if named.index:
            search.indexes.append((subject, pull_manifest(search.client, search.repository.with_digest(named.index), self._cache)))

    def _add(self, search: _Search, subject: str, digest: str, tag: str) -> None:
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

    def _find(self, client: ImageStore, repository: Repository, subject: str, *, query: bool) -> _Named:
        """
        Return the referrers listed for *subject*.

        Without *query*, only known tags are used.
        """
        key = (repository, subject, query)
        while key not in self._named:
            self._flights.run(key, lambda: self._named.update({key: self._look_up(client, repository, subject, query=query)}))
        return self._named[key]

    def _look_up(self, client: ImageStore, repository: Repository, subject: str, *, query: bool) -> _Named:
        tags = self.tags.list(client, repository) if query else self.tags.get_listed(repository) or {}
        try:
            named = self._read_list(client, repository, subject, tags, query=query)
        except (ContentMismatchError, UnsupportedContentError) as error:
            # Nothing that the list names can be missed by name, and only the source can repair it: the next run looks again.
            self._note_missing(repository, subject)
            named = _Named(problem=error.message)
        return replace(named, tags=tuple(self._find_cosign_tags(client, repository, subject, tags)))

    def _read_list(self, client: ImageStore, repository: Repository, subject: str, tags: Mapping[str, str] | None, *, query: bool) -> _Named:
        """
        Return the referrers by the API, or by the fallback tag.

        Raises:
            UnsupportedContentError: The list is damaged.
        """
        listed = client.list_referrers(repository, subject) if query else None
        if listed is not None or (not query and client.capabilities.has_referrers):
            self.tags.set_api(repository, subject)
            return _Named(tuple(one.digest for one in listed or ()))
        index = self._pull_fallback_index(client, repository, subject, tags)
        return _Named() if index is None else _Named(tuple(one.digest for one in index.children), index.digest)

    def _pull_fallback_index(self, client: ImageStore, repository: Repository, subject: str, tags: Mapping[str, str] | None) -> Manifest | None:
        tag = format_fallback_tag(subject)
        if tags is not None and tag not in tags:
            return None
        try:
            index = pull_manifest(client, repository.with_tag(tag), self._cache)
        except NotFoundError:
            self.tags.set_digest(repository, tag, "")
            if tags is not None:
                self._note_missing(repository, subject)
            return None
        self.tags.set_digest(repository, tag, index.digest)
        return index if is_fallback_index(index, subject) else None

    def _find_cosign_tags(self, client: ImageStore, repository: Repository, subject: str, tags: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
        for tag in list_cosign_tags(subject):
            if tags is not None and tag not in tags:
                continue
            digest = (tags or {}).get(tag) or self.tags.resolve(client, repository, tag)
            if digest:
                self.tags.set_digest(repository, tag, digest)
                yield tag, digest
            elif tags is not None:
                self._note_missing(repository, subject)

    def _note_missing(self, repository: Repository, subject: str) -> None:
        self._incomplete_subjects.setdefault(repository, set()).add(subject)


class _Search:
    """The state of one search."""

    def __init__(self, client: ImageStore, repository: Repository, types: frozenset[str] | None, limit: int, *, follow: bool) -> None:
        self.client = client
        self.repository = repository
        self.types = types
        self.limit = limit
        self.follow = follow
        self.found: list[Referrer] = []
        self.indexes: list[tuple[str, Manifest]] = []
        self.warnings: list[str] = []
        self.error: ImgsyncError | None = None
        self.seen: set[str] = set()
        self.waiting: deque[tuple[str, bool]] = deque()
