"""Run `bundle load`: apply whose source is a bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from imgsync.bundle.expected_blobs import ExpectedBlobs, MissingParts
from imgsync.bundle.findings import SignatureCheck
from imgsync.bundle.history import NewerBundle, find_gap, find_newer
from imgsync.bundle.image_needs import ImageNeeds
from imgsync.bundle.load_config import build_bundle_config, keep_tags, narrow_config
from imgsync.bundle.model import DOCUMENT_NAME, Bundle
from imgsync.bundle.open_bundle import OpenBundle
from imgsync.bundle.signature import read_signed_bundle
from imgsync.bundle.source import BundleSource, LoadedBundle
from imgsync.bundle.source_index import SourceIndex
from imgsync.cli.accepted_documents import read_accepted_documents
from imgsync.cli.options import ApplyOptions, CommonOptions
from imgsync.cli.session import Session, open_session
from imgsync.config.allowlist import is_allowed
from imgsync.config.load import load_config, load_registries
from imgsync.config.model import Config
from imgsync.errors import BundleError, StateError
from imgsync.logs.logger import Logger
from imgsync.oci.image_store import LocalStore
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Change, Plan, PlanError
from imgsync.plan.refusal import IMMUTABLE, OLDER
from imgsync.state import StateStore
from imgsync.state.run_notes import BundleNote
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count, format_timestamp
from imgsync.transfer import KnownBlobs, Recorded

_SHOWN = 3
_UNSIGNED = "no signature was checked; `bundles` in registries.yaml can require one"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """
    The options of `bundle load`, apart from those of `apply`.

    `folders` have the bundle and its volumes. Without `paths`, its own images are loaded. `is_signed` is set once its signature was checked.
    """

    folders: tuple[Path, ...]
    paths: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip_missing: bool = False
    allow_older: bool = False
    dry_run: bool = False
    is_signed: bool = False


class BundleLoad:
    """A bundle in place of all sources of one run."""

    def __init__(self, session: Session, index: SourceIndex, volumes: OpenBundle, options: LoadOptions, *, refresh: bool, is_older: bool) -> None:
        """Answer for every source of *session* from *volumes*."""
        self._why_immutable = OLDER if is_older else IMMUTABLE
        self._session = session
        self._index = index
        self._skips_missing = options.skip_missing
        self._names_unselected = bool(options.paths)
        destinations = session.registries.settings.allowed_destinations
        self.known_blobs = _make_known_blobs(session.state, destinations)
        self._missing = MissingParts()
        expected = ExpectedBlobs(
            index,
            volumes,
            self.known_blobs,
            self._missing,
            is_allowed=lambda repository: is_allowed(destinations, str(repository)),
            believes_records=not refresh and not session.state.was_interrupted,
        )
        self._bundle = LoadedBundle(index, volumes, expected, self._missing, options.is_signed)
        session.registries.find_store = self._find_store

    def attach(self, context: PlanContext) -> PlanContext:
        """Return *context* for a plan that checks for missing parts."""
        return replace(context, check_parts=self._bundle.expected.check, why_immutable=self._why_immutable)

    def approve_after(self, ask: Callable[[Plan], None] | None) -> Callable[[Plan], None]:
        """Return what refuses an incomplete plan, and then calls *ask*."""

        def approve(plan: Plan) -> None:
            self._raise_if_incomplete()
            if ask is not None:
                ask(plan)

        return approve

    def name_unselected(self, changes: Iterable[Change], errors: Iterable[PlanError]) -> None:
        """Log the images without one of *changes* or *errors*."""
        if not self._names_unselected:
            return
        seen = {_key(change.source) for change in changes} | {error.reference for error in errors}
        images = sorted({str(image.source) for image in self._index.document.images if _key(_rename(image.source, self._index)) not in seen})
        if images:
            self._session.log.warning("bundle.unselected", images=len(images), reason=f"no mirror selects {_join(images)}")

    def _raise_if_incomplete(self) -> None:
        found = self._missing.images
        if not found or self._skips_missing:
            return
        for reference, reason in found.items():
            self._session.log.warning("bundle.incomplete", reference=str(reference), reason=reason)
        first = next(iter(found.items()))
        names = _join([str(reference) for reference in found])
        raise BundleError(
            f"{format_count(len(found), 'image')} cannot be loaded, so nothing was pushed: {names}: {first[1]}",
            hint="bring what is missing, or load the other images with --skip-missing",
        )

    def _find_store(self, registry: str, origin: str, retry_policy: RetryPolicy) -> LocalStore | None:
        # Also for a source of which the bundle has nothing: it must not be asked.
        return BundleSource(self._bundle, registry, retry_policy) if origin == "source" else None


def run_load(options: LoadOptions, apply: ApplyOptions, common: CommonOptions) -> int:
    """
    Load a bundle, and return the exit code.

    Raises:
        BundleError: It is damaged or not signed as required, or lacks parts, and nothing was pushed.
        ConfigError: A file is invalid.
        UnsafePlanError: The plan exceeds a safety limit.
        UsageError: `allow` forbids what it has, or no mirror fits.
    """
    with (
        _open(options, common) as (found, index, volumes, signature),
        open_session(found.registries, common, read_only=options.dry_run, grace_seconds=None if options.dry_run else apply.grace_seconds) as opened,
    ):
        newer = find_newer(index.document, opened.state.loaded_bundles, moved_tags_since=partial(_has_moved_tags, opened.state, index))
        config = found if newer is None else _handle_older(found, index.document, newer, options, opened.log)
        _warn_of_gap(index.document, opened)
        if not signature.is_checked:
            opened.log.warning("bundle.unsigned", bundle=index.document.id, reason=_UNSIGNED)
        _warn_of_volumes(volumes, opened.log)
        signed = replace(options, is_signed=signature.is_checked)
        load = BundleLoad(opened, index, volumes, signed, refresh=apply.refresh, is_older=newer is not None and not options.allow_older)
        session = replace(opened, load=load)
        if options.dry_run:
            return _run_dry(session, config, apply)
        ends_interruption = _begin(session, index.document)
        # Imported now: a dry run prints a plan only.
        from imgsync.cli.apply_run import run_apply

        exit_code = run_apply(session, config, apply)
        _record(session, index.document, None if options.allow_older else newer, is_whole=not exit_code, ends_interruption=ends_interruption)
        return exit_code


@contextmanager
def _open(options: LoadOptions, common: CommonOptions) -> Iterator[tuple[Config, SourceIndex, OpenBundle, SignatureCheck]]:
    """Give the configuration, the index, the open bundle and its signature."""
    accepted = read_accepted_documents(common.state)
    config: Config | None = None
    if options.paths:
        # The sources are not asked, so what their settings lack does not matter.
        config = load_config(options.paths, registries=common.registries, environ=os.environ, only=options.only, needs_variables=False, accepted=accepted)
    registries = load_registries(common.registries, os.environ) if config is None else config.registries
    document, signature = read_signed_bundle(options.folders, registries)
    index = SourceIndex(document, find_name=registries.find_name)
    file = str(options.folders[0] / DOCUMENT_NAME)
    found = build_bundle_config(index, registries, file=file) if config is None else narrow_config(config, index)
    accepted.save()
    with OpenBundle(options.folders, document) as volumes:
        yield found, index, volumes, signature


def _warn_of_volumes(volumes: OpenBundle, log: Logger) -> None:
    """Log each missing volume, with the images that need it."""
    absent: dict[str, dict[str, None]] = {}
    for blob in volumes.document.blobs:
        absent.update((file, {}) for file in volumes.missing_volumes(blob.digest) if file not in absent)
    if not absent:
        return
    needs = ImageNeeds(volumes)
    for image in volumes.document.images:
        for digest, _ in needs.list_needs(image):
            for file in volumes.missing_volumes(digest):
                absent[file][str(image.destination)] = None
    for file, images in absent.items():
        log.warning("bundle.volume_missing", volume=file, images=len(images), reason=f"needed by {_join(list(images))}")


def _handle_older(config: Config, document: Bundle, newer: NewerBundle, options: LoadOptions, log: Logger) -> Config:
    """Return *config*, which moves tags back only if asked to."""
    verb, gap = ("is", "") if newer.is_certain else ("may be", ", after a bundle that was not loaded")
    what = f"bundle {shorten_digest(document.id)} {verb} older than {shorten_digest(newer.note.id)}, which was loaded {newer.note.moment}{gap}"
    if options.allow_older:
        log.warning("bundle.older", reason=f"{what}; tags move back to what it has, because of --allow-older")
        return config
    log.warning("bundle.older", reason=f"{what}; tags that serve another digest are left as they are (--allow-older moves them back)")
    return keep_tags(config)


def _has_moved_tags(state: StateStore, index: SourceIndex, moment: str) -> bool:
    """Return whether tags of the bundle were pushed after *moment*."""
    names = {str(image.destination) for image in index.document.images}
    # With PATH, the destinations may be others.
    sources = {_key(_rename(image.source, index)) for image in index.document.images}
    return any(one.applied_at > moment and (one.destination in names or one.source.partition("@")[0] in sources) for one in state.iter_records())


def _warn_of_gap(document: Bundle, session: Session) -> None:
    """Log that the bundle before *document* was not loaded."""
    if parent := find_gap(document, session.state.loaded_bundles):
        what = f"bundle {shorten_digest(document.id)} continues {shorten_digest(parent)}, which was not loaded whole with this state"
        session.log.warning("bundle.gap", bundle=document.id, parent=parent, reason=f"{what}; images that only that one has are missing: load it, too")


def _run_dry(session: Session, config: Config, apply: ApplyOptions) -> int:
    """Plan, and check the safety limits as `apply` does."""
    from imgsync.cli.plan_run import PlanOptions, make_plan, print_made_plan
    from imgsync.plan.safety import SafetyLimits

    options = PlanOptions(output=apply.output, refresh=apply.refresh, heartbeat=apply.heartbeat_seconds)
    plan = make_plan(session, config, options)
    exit_code = print_made_plan(session, plan, config, options)
    SafetyLimits(apply.max_changes, apply.max_bytes).raise_if_unsafe(plan)
    return exit_code


def _begin(session: Session, document: Bundle) -> bool:
    """Note the load; return whether its end ends an interruption."""
    try:
        return session.state.begin_bundle(document.id)
    except StateError as error:
        session.log.warning("state.degraded", reason=error.message)
        return False


def _record(session: Session, document: Bundle, newer: NewerBundle | None, *, is_whole: bool, ends_interruption: bool) -> None:
    """Note that a bundle was loaded, before *newer* if that is given."""
    state, moment = session.state, format_timestamp(datetime.now(UTC), milliseconds=True)
    try:
        state.record_bundle(BundleNote(document.id, document.parent, moment if newer is None else min(moment, newer.note.moment), is_whole))
        if is_whole and ends_interruption and state.was_interrupted:
            state.record_run_end(remaining=state.remaining, successes=(), requeues=state.requeues, moment=moment)
    except StateError as error:
        session.log.warning("state.degraded", reason=error.message)


def _make_known_blobs(state: StateStore, allowed: tuple[str, ...] | None) -> KnownBlobs:
    """Return what *state* says of blobs in allowed repositories."""

    def find(registry: str, digest: str) -> tuple[str, ...]:
        return tuple(path for path in state.find_blob_repositories(registry, digest) if is_allowed(allowed, f"{registry}/{path}"))

    return KnownBlobs(Recorded(find, state.find_blob_sources, state.find_blob_size))


def _rename(reference: Reference, index: SourceIndex) -> Reference:
    return replace(reference, repository=index.rename(reference.repository))


def _key(reference: Reference) -> str:
    """Return the name of an image, without the digest of its tag."""
    return f"{reference.repository}:{reference.tag}" if reference.tag else str(reference)


def _join(names: list[str]) -> str:
    """Return the first of *names* and how many more there are."""
    return f"{', '.join(names[:_SHOWN])}{f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''}"
