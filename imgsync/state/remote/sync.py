"""
Sync a store with the state in a registry.

Pull and merge before a run, push after it. Registries have no conditional push, so a second tag, the claim, orders concurrent writers: each
claims, looks whether the state is still the one that it merged, pushes it, and looks whether the claim is still its own. If either is not, it
merges record by record what the others pushed, and begins again. Of two writers at least one sees the other, so no record is lost (Lamport,
"A Fast Mutual Exclusion Algorithm"). The artifact last seen is kept beside the store, as the base of the merge: without it, a record that was
pruned elsewhere looks like one that is new here.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from imgsync.errors import ImgsyncError, StateError, StoppedError
from imgsync.logs.logger import Logger
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.reference import Reference
from imgsync.state.jsonl import DecodedState
from imgsync.state.merge import MergeResult, has_same_contents, merge
from imgsync.state.remote.artifact import LAYER_LIMIT, Artifact, build_manifest, pull_artifact, push_content, unusable_state
from imgsync.state.remote.packing import pack, unpack
from imgsync.state.remote.reference import make_claim_reference, short_name
from imgsync.state.snapshot import EMPTY, SUCCESS, Snapshot
from imgsync.state.store import StateStore
from imgsync.system.atomic_write import write_atomically
from imgsync.text.units import format_bytes, format_count, format_duration, format_timestamp

# As long as others push too; each push takes some requests.
_PUSH_SECONDS = 120.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0


class RemoteState:
    """The state at one reference, and the local store synced with it."""

    def __init__(
        self, client: ImageStore, reference: Reference, store: StateStore, *, directory: str, make_repository: Callable[[], bool], log: Logger
    ) -> None:
        """
        Sync *store*, which is in *directory*, with *reference*.

        *make_repository* is called if the repository does not exist; it returns whether it created it.
        """
        self._client = client
        self._reference = reference
        self._claim = make_claim_reference(reference)
        self._store = store
        self._path = Path(directory) / f"pulled-{short_name(reference)}.jsonl.gz"
        self._make_repository = make_repository
        self._log = log
        self._seen = self._load_last_seen()
        self._has_pulled = False

    def pull(self, *, check: Callable[[], None]) -> MergeResult | None:
        """
        Merge the registry's state, if any, into the store.

        Args:
            check: Called while waiting; raises to give up.

        Raises:
            StateError: The state cannot be pulled or used; the store is unchanged.
        """
        with self._wrap_errors("pull", hint="nothing was changed; a state in a directory (--state DIR) needs no registry"):
            return self._pull(self._client.with_check(check))

    def push(self, *, force: bool = False) -> bool:
        """
        Push the store, merged with others' changes; return False if unchanged.

        Args:
            force: Replace the registry's state without reading it.

        Raises:
            StateError: It cannot be pushed, or the registry's state cannot be used; the store keeps its records.
        """
        with self._wrap_errors("push", hint=self._push_hint()):
            if not self._has_pulled and not force:
                self._pull(self._client)
            if not force and _has_no_news(self._store.snapshot(), self._get_base()):
                return False
            for pause_seconds in _iter_pauses():
                if self._put(self._store.snapshot(), force=force):
                    return True
                self._client.retry_policy.pause(pause_seconds)
                self._pull(self._client)
                force = False
        raise StateError(f"others changed the state {self._reference} for {format_duration(_PUSH_SECONDS)}, at each attempt to push it", hint=self._push_hint())

    def _pull(self, client: ImageStore) -> MergeResult | None:
        self._has_pulled = True
        found = None if self._seen is None else client.resolve(self._reference)
        known = self._seen is not None and found is not None and found.digest == self._seen.digest
        artifact = self._seen if known else pull_artifact(client, self._reference)
        if artifact is None:
            self._seen = None
            self._log.info("state.pulled", reference=str(self._reference), digest=None, records=0, size_bytes=0)
            return None
        return self._merge(artifact, is_known=known)

    def _merge(self, artifact: Artifact, *, is_known: bool) -> MergeResult:
        """Merge *artifact*, which is the new base, into the store."""
        read = self._read(artifact)
        theirs = read.snapshot
        if read.skipped_lines:
            reason = f"skipped {format_count(read.skipped_lines, 'line')} of kinds that this version does not know"
            self._log.warning("state.incomplete", reference=str(self._reference), reason=reason)
        self._log.info("state.pulled", reference=str(self._reference), digest=artifact.digest, records=len(theirs.records), size_bytes=len(artifact.content))
        # If theirs does not descend from the last seen artifact, it overwrote that one: missing records were lost, not pruned.
        descends = self._seen is not None and self._seen.digest in artifact.ancestors
        merged = merge(self._store.snapshot(), theirs, theirs if is_known else self._get_base() if descends else EMPTY)
        with self._warn_if_unwritable():
            self._store.replace_all(merged.snapshot)
        # Only after the store: with a base newer than the store, missing records would look pruned.
        self._save_last_seen(artifact)
        self._log.info("state.merged", reference=str(self._reference), added=merged.added, newer=merged.newer, removed=merged.removed, kept=merged.kept)
        return merged

    def _put(self, ours: Snapshot, *, force: bool) -> bool:
        """Push *ours*; return False if another writer interfered."""
        claimed = self._resolve(self._claim)
        if not force and self._merge_claimed(claimed):
            ours = self._store.snapshot()
        created_at = format_timestamp(datetime.now(UTC))
        content = pack(ours, created_at=created_at)
        if len(content) > LAYER_LIMIT:
            raise StateError(f"the state has {format_bytes(len(content))} as a layer; the limit is {format_bytes(LAYER_LIMIT)}", hint=self._push_hint())
        push_content(self._client, self._reference.repository, content, make_repository=self._make_repository)
        ancestors = () if self._seen is None else (self._seen.digest, *self._seen.ancestors)
        manifest = build_manifest(content, created_at=created_at, ancestors=ancestors)
        self._client.push_manifest(self._claim, manifest)
        before = self._resolve(self._reference)
        if not force and before and (self._seen is None or before != self._seen.digest):
            return False
        self._client.push_manifest(self._reference, manifest)
        # Another writer won the race. The old digest only means that the registry is slow to show ours.
        for reference, shown_before in ((self._reference, before), (self._claim, claimed)):
            shown = self._resolve(reference)
            if not shown or not (manifest.matches(shown) or shown == shown_before):
                return False
        self._save_last_seen(Artifact(manifest.digest, content, ancestors))
        self._log.info("state.pushed", reference=str(self._reference), digest=manifest.digest, records=len(ours.records), size_bytes=len(content))
        return True

    def _merge_claimed(self, digest: str) -> bool:
        """Merge what another writer claimed, unless the state includes it."""
        is_included = not digest or (self._seen is not None and digest in {self._seen.digest, *self._seen.ancestors})
        claimed = None if is_included else pull_artifact(self._client, self._claim)
        if claimed is None:
            return False
        base = self._get_base() if self._seen is not None and self._seen.digest in claimed.ancestors else EMPTY
        merged = merge(self._store.snapshot(), self._read(claimed).snapshot, base)
        with self._warn_if_unwritable():
            self._store.replace_all(merged.snapshot)
        return True

    def _resolve(self, reference: Reference) -> str:
        found = self._client.resolve(reference)
        return "" if found is None else found.digest

    def _read(self, artifact: Artifact) -> DecodedState:
        try:
            return unpack(artifact.content)
        except StateError as error:
            raise unusable_state(self._reference, error.message, hint=error.hint) from error

    def _get_base(self) -> Snapshot:
        """Return the last state that store and registry had in common."""
        return EMPTY if self._seen is None else self._read(self._seen).snapshot

    def _load_last_seen(self) -> Artifact | None:
        """Load the artifact last seen at the reference, if known."""
        digest, layer_digest, *ancestors = (*self._store.get_pulled(str(self._reference)).split(), "", "")
        try:
            if not layer_digest or self._path.stat().st_size > LAYER_LIMIT:
                return None
            content = self._path.read_bytes()
        except OSError:
            return None
        return Artifact(digest, content, tuple(filter(is_digest, ancestors))) if compute_digest(content) == layer_digest else None

    def _save_last_seen(self, artifact: Artifact) -> None:
        if artifact is self._seen:
            return
        self._seen = artifact
        if not self._store.is_persistent:
            return
        with self._warn_if_unwritable():
            write_atomically(self._path, [artifact.content])
            self._store.put_pulled(str(self._reference), " ".join((artifact.digest, compute_digest(artifact.content), *artifact.ancestors)))

    @contextlib.contextmanager
    def _warn_if_unwritable(self) -> Iterator[None]:
        """Turn a write error into a warning."""
        try:
            yield
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)
        except OSError as error:
            self._log.warning("state.degraded", reason=f"cannot write {self._path} ({error.strerror})")

    @contextlib.contextmanager
    def _wrap_errors(self, verb: str, *, hint: str) -> Iterator[None]:
        """Raise a registry error as an error of the state."""
        try:
            yield
        except (StateError, StoppedError):
            raise
        except ImgsyncError as error:
            raise StateError(f"cannot {verb} the state {self._reference}: {error.message}", hint=f"{hint} ({error.hint})" if error.hint else hint) from error

    def _push_hint(self) -> str:
        if not self._store.is_persistent:
            return "this run is not recorded; the next one looks up each tag at its destination"
        folder = self._path.parent
        return f"it is kept in {folder}, and the next run pushes it; to push it now: imgsync state push --state {folder} {self._reference}"


def _iter_pauses() -> Iterator[float]:
    """Yield a random, growing pause per attempt, until time is up."""
    ends = time.monotonic() + _PUSH_SECONDS
    longest_seconds = _FIRST_PAUSE_SECONDS
    while time.monotonic() < ends:
        yield random.uniform(longest_seconds / 4, longest_seconds)  # noqa: S311 - only spreads the writers
        longest_seconds = min(_LONGEST_PAUSE_SECONDS, longest_seconds * 1.6)


def _has_no_news(ours: Snapshot, theirs: Snapshot) -> bool:
    """Return whether only mirrors and success times of one day changed."""
    days = [{mirror: moment.partition("T")[0] for mirror, moment in one.notes[SUCCESS].items()} for one in (ours, theirs)]
    notes = [{kind: found for kind, found in one.notes.items() if kind != SUCCESS} for one in (ours, theirs)]
    # A push for names alone would follow each run of an earlier version, which drops them. They go with the first push of the next day.
    return notes[0] == notes[1] and days[0] == days[1] and has_same_contents(ours.records, theirs.records)
