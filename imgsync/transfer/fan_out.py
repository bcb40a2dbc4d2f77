"""
Read each blob once for all destinations that lack it.

Bounds the memory that the reads of a run take together; `shared_read` has one read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator

from imgsync.concurrency.greenlets import spawn
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import DigestVerifier, verify_chunks
from imgsync.system.chunk import Chunk
from imgsync.transfer.model import Task
from imgsync.transfer.ranges import RangeReader
from imgsync.transfer.shared_read import SharedRead

_HELD_BYTES_IN_ALL = 32 << 20
_MOST_BYTES_OF_ONE = 4 << 20
_LEAST_BYTES_OF_ONE = 512 << 10
# Up to this size, reading a blob in vain costs little.
_PREFETCH_BYTES = 1 << 20


class FanOut:
    """All reads of blobs from the sources of one run."""

    def __init__(self) -> None:
        """Begin with no reads."""
        self._ranges = RangeReader()
        # By source registry too: what one source serves must not stand for another that only names the digest.
        self._reads: dict[tuple[str, str], SharedRead] = {}
        # Registries that joined a read too late. New reads do not wait for them until they ask.
        self._late_registries: set[str] = set()

    def prefetch(self, task: Task, blob: Descriptor, others: Iterable[str]) -> None:
        """Start reading a small blob of a far source early."""
        is_useful = task.source.capabilities.is_far and blob.size_bytes <= _PREFETCH_BYTES and _key(task, blob) not in self._reads
        # Each is kept whole until its destination takes it, however many images run at once.
        if is_useful and sum(shared.bound_bytes for shared in self._reads.values()) < _HELD_BYTES_IN_ALL:
            self._start(task, blob, self._consumers(task, others), bound_bytes=blob.size_bytes)

    def read(self, task: Task, blob: Descriptor, others: Iterable[str]) -> Generator[Chunk, None, None]:
        """
        Yield the blob's bytes, the last ones only once verified.

        Args:
            task: The copy that needs the blob.
            blob: What to read.
            others: Registries that will read it too.

        Raises:
            ContentMismatchError: The source sends something else.
            RegistryError: The source cannot be read.
        """
        registry = task.repository.registry
        self._late_registries.discard(registry)
        consumers = self._consumers(task, others)
        if len(consumers) > 1 and _key(task, blob) not in self._reads:
            bound_bytes = max(_LEAST_BYTES_OF_ONE, min(_MOST_BYTES_OF_ONE, _HELD_BYTES_IN_ALL // (len(self._reads) + 1)))
            self._start(task, blob, consumers, bound_bytes=bound_bytes)
        shared = self._reads.get(_key(task, blob))
        consumer = shared.join(registry) if shared is not None else None
        if shared is None or consumer is None:
            yield from self._read_alone(task, blob, _new_verifier(task, blob))
            return
        try:
            yield from shared.take(consumer, check=task.deadline.check)
        finally:
            shared.leave(registry)
        if consumer.rest is not None:
            pending, verifier = consumer.rest
            while pending:
                yield pending.popleft()
            yield from self._read_alone(task, blob, verifier)

    def leave(self, task: Task, blob: Descriptor) -> None:
        """Note that the destination has the blob, or will not get it."""
        shared = self._reads.get(_key(task, blob))
        if shared is not None:
            shared.leave(task.repository.registry)

    def _consumers(self, task: Task, others: Iterable[str]) -> set[str]:
        return {other for other in others if other not in self._late_registries} | {task.repository.registry}

    def _read_alone(self, task: Task, blob: Descriptor, verifier: DigestVerifier) -> Iterator[Chunk]:
        # Close it here: left to the garbage collector, a broken download would keep its connection to the source.
        with contextlib.closing(self._ranges.read(task.source, task.job.source.repository, blob, start=verifier.seen_bytes)) as chunks:
            yield from verify_chunks(chunks, verifier)

    def _start(self, task: Task, blob: Descriptor, consumers: set[str], *, bound_bytes: int) -> None:
        """Start a shared read in a greenlet."""
        self._make_room()
        shared = SharedRead(
            _new_verifier(task, blob),
            consumers,
            bound_bytes,
            on_end=lambda: self._forget(_key(task, blob), shared),
            on_late=self._late_registries.add,
        )
        self._reads[_key(task, blob)] = shared
        # The read outlives this task if others need it: it ends when it has no consumer any more.
        source = task.source.with_check(shared.raise_if_unused)

        def open_source() -> Generator[Chunk, None, None]:
            return self._ranges.read(source, task.job.source.repository, blob, start=0)

        spawn(lambda: shared.run(open_source))

    def _forget(self, key: tuple[str, str], ended: SharedRead) -> None:
        # By then another read of the same blob may have started.
        if self._reads.get(key) is ended:
            del self._reads[key]

    def _make_room(self) -> None:
        """Drop the oldest finished reads whose consumers have not come."""
        held_bytes = sum(shared.held_bytes for shared in self._reads.values())
        for shared in list(self._reads.values()):
            if held_bytes < _HELD_BYTES_IN_ALL:
                return
            if shared.has_ended:
                held_bytes -= shared.held_bytes
                shared.drop_expected()


def _key(task: Task, blob: Descriptor) -> tuple[str, str]:
    return task.job.source.repository.registry, blob.digest


def _new_verifier(task: Task, blob: Descriptor) -> DigestVerifier:
    name = task.source.name_blob(task.job.source.repository, blob)
    return DigestVerifier(blob.digest, blob.size_bytes, f"pull blob {name}", hint=task.source.damage_hint)
