"""
One tag at every destination: what the source has, what the destination serves or our record remembers, what follows.

Asks as little as it can: a record excuses the destination, a listing with digests excuses the source (design.md §6, §7.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from imgsync.concurrency.greenlets import run_both
from imgsync.config.model import Destination, Mirror
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.errors import BudgetSpentError, NotFoundError
from imgsync.filters.globs import Glob, compile_glob
from imgsync.images.image import ManifestCache, pull_manifest, read_image, select_root
from imgsync.images.referrers import Referrers, count_missing
from imgsync.oci.listing.model import ListedTag
from imgsync.oci.registry import RegistryClient, Resolved
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.manifest import Descriptor, Manifest, Platform, parse_platform
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.context import PlanContext
from imgsync.plan.decide import REQUIRED, Facts, decide
from imgsync.plan.list_repositories import SourceRepository
from imgsync.plan.min_age import MinimumAge
from imgsync.plan.model import COPIES, PENDING, Action, Change
from imgsync.policy.policy import ImagePolicy
from imgsync.state import Record
from imgsync.text.units import format_count


@dataclass(slots=True)
class TagPlan:
    """
    What planning one tag came to.

    `exists` says whether the source has it, `blobs` and `manifests` what its pending image and its referrers consist of, `dropped` names
    the damaged records, `warnings` tell of referrers that were passed over, `moved` of a tag that named another manifest when it was read.
    """

    changes: list[Change] = field(default_factory=list)
    exists: bool = True
    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[str, ...] = ()
    dropped: list[str] = field(default_factory=list)
    warnings: dict[str, None] = field(default_factory=dict)
    moved: str = ""


@dataclass(frozen=True, slots=True)
class _Target:
    reference: Reference
    record: Record | None


class _Moved(Exception):  # noqa: N818 - no error: what is to be planned is another manifest
    """The tag names *manifest*, not what HEAD told."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest.digest)
        self.manifest = manifest


class TagPlanner:
    """Plans the tags of one mirror."""

    def __init__(self, mirror: Mirror, context: PlanContext, *, requests_to_come: int) -> None:
        """Plan for *mirror*; destinations are made ready for as many requests at once as are *requests_to_come*."""
        self._requests_to_come = requests_to_come
        self._mirror = mirror
        self._context = context
        self._registries = registries = context.registries
        self._state = context.state
        self._refresh = context.refresh
        self._check = check = context.stop.raise_if_requested
        self._minimum_age = MinimumAge(mirror.tags, context.state, now=context.now)
        self._cache: ManifestCache = context.manifests
        self._policy: ImagePolicy = context.policy
        self._source: RegistryClient = registries.make_source_client(mirror, check=check)
        self._platforms: list[Platform] | None = None if mirror.platforms is None else [parse_platform(text) for text in mirror.platforms]
        self._immutable: list[Glob] = [compile_glob(text) for text in mirror.immutable]

    def plan(self, found: SourceRepository, tag: ListedTag) -> TagPlan:
        """
        Return the changes that bring *tag* to every destination.

        Raises:
            ImgsyncError: A registry fails, or the image is none we copy.
        """
        self._check()
        source = found.repository.with_name(tag.name)
        immutable = any(glob.fullmatch(tag.name) for glob in self._immutable)
        targets = [self._target(destination, found, tag.name) for destination in self._mirror.destinations]
        result = TagPlan()
        asked = []
        for target in targets:
            if (
                immutable
                and target.record is not None
                and self._is_settled(target.record, source.repository)
                and tag.digest in {None, target.record.source_digest}
            ):
                result.changes.append(self._kept_unasked(source, target.reference, target.record))
            else:
                asked.append(target)
        if asked:
            self._plan_asked(source, tag, asked, immutable=immutable, result=result)
        return result

    def _plan_asked(self, source: Reference, tag: ListedTag, targets: list[_Target], *, immutable: bool, result: TagPlan) -> None:
        served, resolved = self._asked(source, tag, targets)
        if resolved is None:
            result.exists = False
            return
        for number, target in enumerate(targets):
            if not self._fits(target.record):
                result.dropped.append(str(target.reference))
                targets[number] = _Target(target.reference, None)
                served[target.reference] = self._served(targets[number])

        def changes(resolved: Resolved, tag: ListedTag) -> list[Change]:
            return [self._planned(source, resolved, target, tag, served=served[target.reference], immutable=immutable, result=result) for target in targets]

        try:
            result.changes += changes(resolved, tag)
        except _Moved as moved:
            manifest = moved.manifest
            first, planned = shorten_digest(resolved.digest), shorten_digest(manifest.digest)
            result.moved = f"{source} named {first} when asked for its digest, and {planned} when read, which is planned"
            result.changes += changes(Resolved(manifest.digest, manifest.media_type), replace(tag, digest=manifest.digest))

    def _asked(self, source: Reference, tag: ListedTag, targets: list[_Target]) -> tuple[dict[Reference, str | None], Resolved | None]:
        """Return what the destinations serve or are remembered to serve, and what the source has."""

        def served() -> dict[Reference, str | None]:
            return {target.reference: self._served(target) for target in targets}

        is_far = self._source.capabilities.is_far and self._source.transport.pull_limit.quota is None
        # What may have to wait is asked for its digest alone: its manifest could be wanted days later, and pulls are counted.
        may_wait = self._mirror.tags.min_age_seconds is not None
        if tag.digest is None and not may_wait and is_far and all(target.record is None for target in targets):
            # Most likely nothing is there yet; where the way is long it pays to ask for the manifest at once, should it turn out not to be needed.
            return run_both(served, lambda: self._resolve(source, tag, cold=True))
        at_destinations = served()
        return at_destinations, self._resolve(source, tag, cold=not may_wait and all(digest is None for digest in at_destinations.values()))

    def _is_settled(self, record: Record, repository: Repository) -> bool:
        """Return whether nothing asks for another look at an immutable tag: neither `--refresh`, nor other demands than it was let through by."""
        return not self._refresh and (not self._policy.list_requirements(self._mirror, repository) or record.selection == self._selection(repository))

    def _selection(self, repository: Repository) -> str:
        return self._policy.describe_settings(self._mirror, repository)

    def _gated(self, change: Change, record: Record | None, repository: Repository, digest: str) -> Change:
        """Return *change*, or its refusal where the image lacks what is required; what was let through by the same demands is not looked at again."""
        known = record is not None and not self._refresh and (record.source_digest, record.selection) == (digest, self._selection(repository))
        if change.action not in COPIES and not (change.action is Action.KEEP and not known):
            return change
        problem = self._policy.find_problem(self._mirror, self._source, repository, digest)
        if not problem:
            return change
        kept = "; what the destination serves is left as it is" if change.destination_digest else ""
        return replace(change, action=Action.REFUSE, reason=f"{REQUIRED}{problem}{kept}")

    def _target(self, destination: Destination, found: SourceRepository, tag: str) -> _Target:
        path = expand_repository(destination, found.repository.path, relative=found.relative, registry=found.repository.registry)
        reference = Repository(destination.registry, path).with_tag(expand_tag(destination, tag))
        record = self._state.get(str(reference))
        return _Target(reference, record if record is not None and record.is_confirmed else None)

    def _fits(self, record: Record | None) -> bool:
        """Return whether nothing proves that *record* is damaged: a manifest of its digest that has another crc32 would."""
        read = self._cache.get(record.digest) if record is not None and record.crc32 else None
        return record is None or read is None or read.crc32 == record.crc32

    def _served(self, target: _Target) -> str | None:
        if target.record is not None and not self._refresh:
            return target.record.digest
        client = self._registries.make_destination_client(target.reference.repository.registry, self._mirror, check=self._check)
        found = self._context.destination_tags.resolve(client, target.reference)
        client.transport.open_ahead(self._requests_to_come)
        return found

    def _resolve(self, source: Reference, tag: ListedTag, *, cold: bool) -> Resolved | None:
        if tag.digest is not None:
            return Resolved(tag.digest, tag.media_type)
        if not cold:
            found = self._source.resolve(source)
            if found is not None and found.manifest is not None:
                self._cache.add(found.manifest)
            return found
        # Nothing is there yet, so the manifest will be needed anyway: ask for it at once, not for its digest first.
        try:
            manifest = pull_manifest(self._source, source, self._cache)
        except NotFoundError:
            return None
        except BudgetSpentError:
            # Its digest is to be had without a pull.
            return self._source.resolve(source)
        return Resolved(manifest.digest, manifest.media_type)

    def _change(
        self, source: Reference, resolved: Resolved, target: _Target, tag: ListedTag, *, served: str | None, immutable: bool, result: TagPlan
    ) -> Change:
        record = target.record
        same_settings = record is not None and record.selection == self._selection(source.repository)
        if record is not None and same_settings and record.source_digest == resolved.digest:
            wanted = record.digest
        else:
            wanted = resolved.digest if self._platforms is None else self._root(source, resolved.digest, tag).digest
        remembered = record is not None and not self._refresh
        missing = 0
        settled = remembered and same_settings and not self._changed_referrers(source.repository, resolved.digest, target.reference.repository)
        if served == wanted == resolved.digest and not settled:
            missing = self._missing_referrers(source.repository, resolved.digest, target.reference.repository, result)
        content = self._missing_content(target.reference, wanted) if self._refresh and served == wanted else 0
        facts = Facts(
            wanted,
            served,
            immutable,
            remembered=remembered,
            reselected=remembered and not same_settings,
            missing_referrers=missing,
            missing_content=content,
            held=self._minimum_age.explain_hold(source, resolved.digest),
            uncompared=target.reference.repository.registry in self._context.destination_tags.uncompared,
        )
        action, reason = decide(facts)
        return Change(
            action=action,
            mirror=self._mirror.name,
            source=source,
            source_digest=resolved.digest,
            destination=target.reference,
            destination_digest=served,
            media_type=resolved.media_type or (record.media_type or None if record and record.digest == wanted else None),
            size_bytes=record.size_bytes or None if record and record.digest == wanted else None,
            reason=reason,
        )

    def _planned(
        self, source: Reference, resolved: Resolved, target: _Target, tag: ListedTag, *, served: str | None, immutable: bool, result: TagPlan
    ) -> Change:
        """Return the change of one destination, once it is known that the image may go there, and how large it is."""
        change = self._change(source, resolved, target, tag, served=served, immutable=immutable, result=result)
        return self._sized(self._gated(change, target.record, source.repository, resolved.digest), source, resolved, tag, result)

    def _sized(self, change: Change, source: Reference, resolved: Resolved, tag: ListedTag, result: TagPlan) -> Change:
        if change.action not in PENDING:
            size = tag.size_bytes if change.size_bytes is None else change.size_bytes
            return replace(change, size_bytes=size)
        try:
            return self._read(change, source, resolved.digest, tag, result)
        except BudgetSpentError as error:
            return replace(change, reason=f"{change.reason}; size unknown: {error.message}")

    def _read(self, change: Change, source: Reference, digest: str, tag: ListedTag, result: TagPlan) -> Change:
        """Return *change* with what reading the image tells, and note what it consists of."""
        repository = source.repository
        result.manifests = (digest,)
        root = self._root(source, digest, tag)
        image = read_image(self._source, repository, root, cache=self._cache, limit=self._mirror.concurrency.blobs)
        referrers = self._referrers(repository, root.digest if root.digest == digest else "", image.below, result)
        images = (image, *(one.image for one in referrers.found))
        result.blobs = tuple({blob.digest: blob for part in images for blob in part.blobs}.values())
        result.manifests += tuple(manifest.digest for part in images for manifest in (part.root, *part.below))
        notes = [] if root.digest == digest else [f"only {', '.join(self._mirror.platforms or ())}, so the digest becomes {root.digest}"]
        if referrers:
            notes.append(f"with {format_count(len(referrers.found), 'referrer')}")
        return replace(change, size_bytes=image.size_bytes, reason="; ".join([change.reason, *notes]), media_type=root.media_type)

    def _changed_referrers(self, repository: Repository, digest: str, destination: Repository) -> bool:
        """Return whether the listing shows tags of referrers that were not seen to when the image was copied."""
        if self._mirror.referrers is False:
            return False
        return self._context.referrers.summarize(repository, digest) not in {None, self._state.get_referrer_tags(str(destination), digest)}

    def _missing_referrers(self, repository: Repository, digest: str, destination: Repository, result: TagPlan) -> int:
        """Return how many referrers of the image the destination lacks; where the source has none, it is not asked."""
        referrers = self._referrers(repository, digest, (), result)
        client = self._registries.make_destination_client(destination.registry, self._mirror, check=self._check)
        return count_missing(client, destination, referrers) if referrers else 0

    def _missing_content(self, destination: Reference, digest: str) -> int:
        """Return how many manifests and blobs of the image the destination lacks, whatever was pushed there once."""
        repository = destination.repository
        client = self._registries.make_destination_client(repository.registry, self._mirror, check=self._check)
        held = self._context.content.find_missing(client, destination, digest, limit=self._mirror.concurrency.blobs)
        for missing in held.missing:
            self._state.forget_blob(repository.registry, repository.path, missing)
        return len(held.missing)

    def _referrers(self, repository: Repository, digest: str, below: Iterable[Manifest], result: TagPlan) -> Referrers:
        found = self._context.referrers.read(
            self._source,
            repository,
            digest,
            parts=(part.digest for part in below),
            types=self._mirror.referrers,
            limit=self._mirror.concurrency.blobs,
        )
        result.warnings.update(dict.fromkeys(found.warnings))
        return found

    def _root(self, source: Reference, digest: str, tag: ListedTag) -> Manifest:
        """
        Return what will be pushed for the manifest of *digest*.

        A digest that HEAD alone told is not believed: some registries tell that of another manifest than GET gives. So it is read by the tag.

        Raises:
            _Moved: The tag names another manifest.
        """
        by_tag = tag.digest is None and self._cache.get(digest) is None
        root = pull_manifest(self._source, source if by_tag else source.repository.with_digest(digest), self._cache)
        if root.digest != digest:
            raise _Moved(root)
        return select_root(root, self._platforms)

    def _kept_unasked(self, source: Reference, destination: Reference, record: Record) -> Change:
        return Change(
            action=Action.KEEP,
            mirror=self._mirror.name,
            source=source,
            source_digest=record.source_digest,
            destination=destination,
            destination_digest=record.digest,
            media_type=record.media_type or None,
            size_bytes=record.size_bytes or None,
            reason="immutable and mirrored before",
        )
