"""
Sync a store with the state in a registry.

Pull and merge before a run, push after it. Registries have no conditional push, so the tag is resolved right before and right
after the push, and a concurrent writer's state is merged record by record. The artifact last seen is kept beside the store, as the
base of the merge: without it, a record that was pruned elsewhere looks like one that is new here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from imgsync.errors import ImgsyncError, StateError, StoppedError
from imgsync.logs.logger import Logger
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.reference import Reference
from imgsync.state.jsonl import DecodedState
from imgsync.state.merge import MergeResult, merge
from imgsync.state.remote.artifact import LAYER_LIMIT, Artifact, build_manifest, pull_artifact, push_content, unusable_state
from imgsync.state.remote.packing import pack, unpack
from imgsync.state.remote.reference import short_name
from imgsync.state.snapshot import EMPTY, SUCCESS, Snapshot
from imgsync.state.store import StateStore
from imgsync.system.atomic_write import write_atomically
from imgsync.text.units import format_bytes, format_count, format_timestamp

_TRIES = 5


class RemoteState:
    """The state at one reference, and the local store synced with it."""

    def __init__(
        self, client: RegistryClient, reference: Reference, store: StateStore, *, directory: str, make_repository: Callable[[], bool], log: Logger
    ) -> None:
        """
        Sync *store*, which is in *directory*, with *reference*.

        *make_repository* is called if the repository does not exist; it returns whether it created it.
        """
        self._client = client
        self._reference = reference
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
            for _ in range(_TRIES):
                ours = self._store.snapshot()
                if not force and _has_no_news(ours, self._get_base()):
                    return False
                if self._put(ours, force=force):
                    return True
                self._pull(self._client)
                force = False
        raise StateError(f"others changed the state {self._reference} during each of {_TRIES} attempts to push it", hint=self._push_hint())

    def _pull(self, client: RegistryClient) -> MergeResult | None:
        self._has_pulled = True
        found = None if self._seen is None else client.resolve(self._reference)
        known = self._seen is not None and found is not None and found.digest == self._seen.digest
        artifact = self._seen if known else pull_artifact(client, self._reference)
        if artifact is None:
            self._seen = None
            self._log.info("state.pulled", reference=str(self._reference), digest=None, records=0, size_bytes=0)
            return None
        read = self._read(artifact)
        theirs = read.snapshot
        if read.skipped_lines:
            reason = f"skipped {format_count(read.skipped_lines, 'line')} of kinds that this version does not know"
            self._log.warning("state.incomplete", reference=str(self._reference), reason=reason)
        self._log.info("state.pulled", reference=str(self._reference), digest=artifact.digest, records=len(theirs.records), size_bytes=len(artifact.content))
        # If theirs does not descend from the last seen artifact, it overwrote that one: missing records were lost, not pruned.
        descends = self._seen is not None and self._seen.digest in artifact.ancestors
        merged = merge(self._store.snapshot(), theirs, theirs if known else self._get_base() if descends else EMPTY)
        with self._warn_if_unwritable():
            self._store.replace_all(merged.snapshot)
        # Only after the store: with a base newer than the store, missing records would look pruned.
        self._save_last_seen(artifact)
        self._log.info("state.merged", reference=str(self._reference), added=merged.added, newer=merged.newer, removed=merged.removed, kept=merged.kept)
        return merged

    def _put(self, ours: Snapshot, *, force: bool) -> bool:
        """Push *ours* if the tag has not moved; return success."""
        created_at = format_timestamp(datetime.now(UTC))
        content = pack(ours, created_at=created_at)
        if len(content) > LAYER_LIMIT:
            raise StateError(f"the state has {format_bytes(len(content))} as a layer; the limit is {format_bytes(LAYER_LIMIT)}", hint=self._push_hint())
        push_content(self._client, self._reference.repository, content, make_repository=self._make_repository)
        # Right before the push, to keep the race short.
        found = self._client.resolve(self._reference)
        before = None if found is None else found.digest
        if not force and before is not None and (self._seen is None or before != self._seen.digest):
            return False
        ancestors = () if self._seen is None else (self._seen.digest, *self._seen.ancestors)
        manifest = build_manifest(content, created_at=created_at, ancestors=ancestors if before is None else (before, *ancestors))
        self._client.push_manifest(self._reference, manifest)
        after = self._client.resolve(self._reference)
        # Another writer won the race. The old digest only means that the registry is slow to show ours.
        if after is None or not (manifest.matches(after.digest) or after.digest == before):
            return False
        self._save_last_seen(Artifact(manifest.digest, content, ancestors))
        self._log.info("state.pushed", reference=str(self._reference), digest=manifest.digest, records=len(ours.records), size_bytes=len(content))
        return True

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


def _has_no_news(ours: Snapshot, theirs: Snapshot) -> bool:
    """Return whether only success times of the same day changed."""
    days = [{mirror: moment.partition("T")[0] for mirror, moment in one.notes[SUCCESS].items()} for one in (ours, theirs)]
    notes = [{kind: found for kind, found in one.notes.items() if kind != SUCCESS} for one in (ours, theirs)]
    return ours.records == theirs.records and notes[0] == notes[1] and days[0] == days[1]
