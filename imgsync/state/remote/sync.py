"""
A store and the state in a registry, brought together: pulled and merged before a run, pushed after it, whoever else does the same meanwhile.

A registry cannot be asked to push only if nobody else did. So the tag is asked right before the push and right after it, and whatever
somebody else put there is merged in, record by record. What was last seen there is remembered beside the store: only with it can a record
that was pruned elsewhere be told from one that is new here.
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
from imgsync.state.jsonl import Read
from imgsync.state.merge import Merged, merge
from imgsync.state.remote.artifact import LAYER_LIMIT, Artifact, broken, manifest_of, pull_artifact, upload
from imgsync.state.remote.packing import pack, unpack
from imgsync.state.remote.reference import name_of
from imgsync.state.snapshot import EMPTY, SUCCESS, Snapshot
from imgsync.state.store import StateStore
from imgsync.system.atomic_write import write_atomically
from imgsync.text.units import format_bytes, format_timestamp

_TRIES = 5


class RemoteState:
    """The state at one reference, and the store that goes with it."""

    def __init__(
        self, client: RegistryClient, reference: Reference, store: StateStore, *, directory: str, make_repository: Callable[[], bool], log: Logger
    ) -> None:
        """Keep *store*, which lies in *directory*, and *reference* together; *make_repository* is asked where the registry does not know it."""
        self._client = client
        self._reference = reference
        self._store = store
        self._path = Path(directory) / f"pulled-{name_of(reference)}.jsonl.gz"
        self._make_repository = make_repository
        self._log = log
        self._seen = self._remembered()
        self._asked = False

    def pull(self, *, check: Callable[[], None]) -> Merged | None:
        """
        Merge what the registry holds into the store, and return what that came to; None when there is nothing, as before a first run.

        *check* may end the waiting.

        Raises:
            StateError: What is there cannot be used, or cannot be had; the store is as it was.
        """
        with self._explained("pulled", hint="nothing was done; a state in a directory (--state DIR) needs no registry"):
            return self._pull(self._client.under(check))

    def push(self, *, force: bool = False) -> bool:
        """
        Put the store's content where others find it, merged with what they put there since; return False when it is there already.

        With *force* whatever is there is replaced unseen.

        Raises:
            StateError: It cannot be pushed, or what others put there cannot be used; the store keeps what it has.
        """
        with self._explained("pushed", hint=self._kept()):
            if not self._asked and not force:
                self._pull(self._client)
            for _ in range(_TRIES):
                ours = self._store.snapshot()
                if not force and _says_nothing_new(ours, self._base()):
                    return False
                if self._put(ours, force=force):
                    return True
                self._pull(self._client)
                force = False
        raise StateError(f"the state {self._reference} was changed by others while it was being pushed, {_TRIES} times in a row", hint=self._kept())

    def _pull(self, client: RegistryClient) -> Merged | None:
        self._asked = True
        found = None if self._seen is None else client.resolve(self._reference)
        known = self._seen is not None and found is not None and found.digest == self._seen.digest
        artifact = self._seen if known else pull_artifact(client, self._reference)
        if artifact is None:
            self._seen = None
            self._log.info("state.pulled", reference=str(self._reference), digest=None, records=0, size_bytes=0)
            return None
        read = self._read(artifact)
        theirs = read.snapshot
        if read.passed_over:
            self._log.warning("state.incomplete", reference=str(self._reference), reason=f"{read.passed_over} lines of kinds that this version does not know")
        self._log.info("state.pulled", reference=str(self._reference), digest=artifact.digest, records=len(theirs.records), size_bytes=len(artifact.content))
        # What theirs does not go back to was overwritten unseen: what that had and theirs lacks was lost, not pruned.
        descends = self._seen is not None and self._seen.digest in artifact.ancestors
        merged = merge(self._store.snapshot(), theirs, theirs if known else self._base() if descends else EMPTY)
        with self._degrading():
            self._store.become(merged.snapshot)
        # Only now: a base that is newer than the store would make what the store lacks look forgotten.
        self._remember(artifact)
        self._log.info("state.merged", reference=str(self._reference), added=merged.added, newer=merged.newer, removed=merged.removed, kept=merged.kept)
        return merged

    def _put(self, ours: Snapshot, *, force: bool) -> bool:
        """Push *ours* unless the tag has moved since we saw it; return whether the tag is ours in the end."""
        created_at = format_timestamp(datetime.now(UTC))
        content = pack(ours, created_at=created_at)
        if len(content) > LAYER_LIMIT:
            raise StateError(f"the state is {format_bytes(len(content))} as a layer; {format_bytes(LAYER_LIMIT)} is the limit", hint=self._kept())
        upload(self._client, self._reference.repository, content, make_repository=self._make_repository)
        # As late as can be: between this question and the push nobody may come.
        found = self._client.resolve(self._reference)
        before = None if found is None else found.digest
        if not force and before is not None and (self._seen is None or before != self._seen.digest):
            return False
        ancestors = () if self._seen is None else (self._seen.digest, *self._seen.ancestors)
        manifest = manifest_of(content, created_at=created_at, ancestors=ancestors if before is None else (before, *ancestors))
        self._client.push_manifest(self._reference, manifest)
        after = self._client.resolve(self._reference)
        # Whoever came all the same may not have seen ours. A registry that still tells what was before has only not noticed yet.
        if after is None or after.digest not in {manifest.digest, before}:
            return False
        self._remember(Artifact(manifest.digest, content, ancestors))
        self._log.info("state.pushed", reference=str(self._reference), digest=manifest.digest, records=len(ours.records), size_bytes=len(content))
        return True

    def _read(self, artifact: Artifact) -> Read:
        try:
            return unpack(artifact.content)
        except StateError as error:
            raise broken(self._reference, error.message, hint=error.hint) from error

    def _base(self) -> Snapshot:
        """Return what store and registry last had in common."""
        return EMPTY if self._seen is None else self._read(self._seen).snapshot

    def _remembered(self) -> Artifact | None:
        """Return what was last seen at the reference, None where that is not known, or no longer for sure."""
        digest, layer_digest, *ancestors = (*self._store.pulled(str(self._reference)).split(), "", "")
        try:
            if not layer_digest or self._path.stat().st_size > LAYER_LIMIT:
                return None
            content = self._path.read_bytes()
        except OSError:
            return None
        return Artifact(digest, content, tuple(filter(is_digest, ancestors))) if compute_digest(content) == layer_digest else None

    def _remember(self, artifact: Artifact) -> None:
        if artifact is self._seen:
            return
        self._seen = artifact
        if not self._store.lasting:
            return
        with self._degrading():
            write_atomically(self._path, [artifact.content])
            self._store.note_pulled(str(self._reference), " ".join((artifact.digest, compute_digest(artifact.content), *artifact.ancestors)))

    @contextlib.contextmanager
    def _degrading(self) -> Iterator[None]:
        """Warn of a directory that cannot be written, and go on: the run has all in memory."""
        try:
            yield
        except StateError as error:
            self._log.warning("state.degraded", reason=error.message)
        except OSError as error:
            self._log.warning("state.degraded", reason=f"{self._path} cannot be written ({error.strerror})")

    @contextlib.contextmanager
    def _explained(self, verb: str, *, hint: str) -> Iterator[None]:
        """Say of an error of the registry that it concerns the state, and what follows from it."""
        try:
            yield
        except (StateError, StoppedError):
            raise
        except ImgsyncError as error:
            raise StateError(f"the state {self._reference} cannot be {verb}: {error.message}", hint=f"{hint} ({error.hint})" if error.hint else hint) from error

    def _kept(self) -> str:
        if not self._store.lasting:
            return "what this run pushed is not remembered; the next one looks each tag up at its destination"
        folder = self._path.parent
        return f"it is kept, and merged by the next run; or: imgsync state push --state {folder} {self._reference}"


def _says_nothing_new(ours: Snapshot, theirs: Snapshot) -> bool:
    """Return whether pushing *ours* would tell nothing but that a run succeeded once more: that is worth a push a day, not one a run."""
    days = [{mirror: moment.partition("T")[0] for mirror, moment in one.notes[SUCCESS].items()} for one in (ours, theirs)]
    notes = [{kind: found for kind, found in one.notes.items() if kind != SUCCESS} for one in (ours, theirs)]
    return ours.records == theirs.records and notes[0] == notes[1] and days[0] == days[1]
