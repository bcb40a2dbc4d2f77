"""Collect what a shard does while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from imgsync.apply.copy_change import FinishedChange
from imgsync.apply.copy_shared import FinishedBlob
from imgsync.apply.report import Outcome
from imgsync.apply.shard_outcome import FoundBlobs, RecordFacts, Traffic
from imgsync.oci.spec.reference import Repository


class Collector:
    """What a shard did so far."""

    def __init__(self) -> None:
        """Begin with nothing done."""
        self.outcomes: list[Outcome] = []
        self.records: dict[str, RecordFacts] = {}
        self.finished_blobs: list[FinishedBlob] = []
        self._found: dict[Repository, dict[str, int | None]] = {}
        self._missing: dict[Repository, set[str]] = {}

    def add_changes(self, batch: Sequence[FinishedChange]) -> None:
        """Add finished changes."""
        for finished in batch:
            repository = finished.outcome.change.destination.repository
            self.outcomes.append(finished.outcome)
            if finished.record is not None:
                self.records[finished.record.destination] = RecordFacts(finished.record.applied_at, finished.record.is_confirmed)
            self._add_blobs(repository, {**finished.found, **finished.seen})
            self._missing.setdefault(repository, set()).update(finished.missing)

    def add_blob(self, finished: FinishedBlob) -> None:
        """Add a shared blob."""
        self.finished_blobs.append(finished)
        self._add_blobs(finished.home.repository, {**finished.progress.found_sizes, **finished.progress.confirmed_sizes})

    @property
    def blobs(self) -> tuple[FoundBlobs, ...]:
        """What was found in each destination repository."""
        repositories = sorted(self._found.keys() | {repository for repository, digests in self._missing.items() if digests})
        return tuple(
            FoundBlobs(
                str(one),
                dict(sorted(self._found.get(one, {}).items())),
                tuple(sorted(self._missing.get(one, set()) - self._found.get(one, {}).keys())),
            )
            for one in repositories
        )

    def list_traffic(self, count_requests: Callable[[str], Mapping[str, Mapping[str, int]]]) -> tuple[Traffic, ...]:
        """Return requests and bytes by side and registry."""
        sent: Counter[str] = Counter()
        for outcome in self.outcomes:
            sent[outcome.change.destination.repository.registry] += outcome.bytes_copied
        for finished in self.finished_blobs:
            sent[finished.home.repository.registry] += finished.progress.bytes_copied
        return tuple(
            Traffic(side, registry, dict(sorted(methods.items())), sent[registry] if side == "destination" else 0)
            for side in ("source", "destination")
            for registry, methods in sorted(count_requests(side).items())
        )

    def _add_blobs(self, repository: Repository, sizes: Mapping[str, int | None]) -> None:
        if sizes:
            self._found.setdefault(repository, {}).update(sizes)
