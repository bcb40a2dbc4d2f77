"""
One read, many writes: what is read from the source is fed to every destination that lacks it.

A feed keeps what its slowest destination has still to take, up to a bound. One that holds others up for longer than a second in all is let go:
it reads the rest for itself, from the byte it has reached. Spec: design.md §7.4, §7.7.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator

from imgsync.concurrency.greenlets import Event, spawn
from imgsync.oci.spec.digest import DigestVerifier, verify_chunks
from imgsync.oci.spec.manifest import Descriptor
from imgsync.transfer.model import Task
from imgsync.transfer.ranges import Ranges

# Of all feeds together, and of one at most and at least.
_HELD_BYTES = 32 << 20
_MOST_BYTES = 4 << 20
_LEAST_BYTES = 512 << 10
_PATIENCE_SECONDS = 1.0
_LOOK_SECONDS = 0.05
# What is asked for ahead of need: so small that to have asked in vain costs nothing worth naming.
_AHEAD_BYTES = 1 << 20


class Feeds:
    """All reads of blobs from the sources of one run."""

    def __init__(self) -> None:
        """Begin with nothing being read."""
        self._ranges = Ranges()
        self._open: dict[str, _Feed] = {}
        # Registries that were not there when a blob was read for them: nobody waits for these again before they come by themselves.
        self._late: set[str] = set()

    def ahead(self, task: Task, blob: Descriptor, others: Iterable[str]) -> None:
        """Begin to read a small blob before the destination is ready, where the way to the source is long; *others* as of `chunks`."""
        if task.source.capabilities.is_far and blob.size_bytes <= _AHEAD_BYTES and blob.digest not in self._open:
            self._begin(task, blob, self._expected(task, others))

    def chunks(self, task: Task, blob: Descriptor, others: Iterable[str]) -> Generator[bytes, None, None]:
        """
        Yield the blob's bytes, the last of them once their digest is known to be right; *others* are registries that will want them too.

        Raises:
            ContentMismatchError: The source sends something else.
            RegistryError: The source cannot be read.
        """
        registry = task.repository.registry
        self._late.discard(registry)
        expected = self._expected(task, others)
        if len(expected) > 1 and blob.digest not in self._open:
            self._begin(task, blob, expected)
        feed = self._open.get(blob.digest)
        if feed is None or not feed.join(registry):
            yield from self._read(task, blob, _running(task, blob))
            return
        try:
            yield from feed.read(registry, check=task.deadline.check)
        finally:
            feed.leave(registry)
        rest = feed.rest(registry)
        if rest is not None:
            pending, running = rest
            while pending:
                yield pending.popleft()
            yield from self._read(task, blob, running)

    def leave(self, registry: str, digest: str) -> None:
        """Take note that *registry* has the blob, or will not get it."""
        feed = self._open.get(digest)
        if feed is not None:
            feed.leave(registry)

    def _expected(self, task: Task, others: Iterable[str]) -> set[str]:
        return {other for other in others if other not in self._late} | {task.repository.registry}

    def _read(self, task: Task, blob: Descriptor, running: DigestVerifier) -> Iterator[bytes]:
        # Closed here and now: left to the collector, a broken download would keep its lane to the source.
        with contextlib.closing(self._ranges.chunks(task.source, task.job.source.repository, blob, start=running.seen_bytes)) as chunks:
            yield from verify_chunks(chunks, running)

    def _begin(self, task: Task, blob: Descriptor, expected: set[str]) -> None:
        self._make_room()
        bound = max(_LEAST_BYTES, min(_MOST_BYTES, _HELD_BYTES // (len(self._open) + 1)))
        feed = _Feed(_running(task, blob), expected, bound, on_end=lambda: self._open.pop(blob.digest, None), on_late=self._late.add)
        self._open[blob.digest] = feed
        # What it waits for is not this task's affair alone: it ends when nobody reads any more.
        source = task.source.under(feed.check_wanted)

        def chunks() -> Generator[bytes, None, None]:
            return self._ranges.chunks(source, task.job.source.repository, blob, start=0)

        spawn(lambda: feed.run(chunks))

    def _make_room(self) -> None:
        """Forget the oldest that were read to their end for somebody who has not come."""
        held = sum(feed.held_bytes for feed in self._open.values())
        for feed in list(self._open.values()):
            if held < _HELD_BYTES:
                return
            if feed.ended:
                held -= feed.held_bytes
                feed.forget_absent()


class _Unwanted(Exception):  # noqa: N818 - no error: nobody reads any more
    """Ends the reading that nobody waits for."""


class _Feed:
    """The bytes of one blob between one reader and its consumers, which are named by their registries."""

    def __init__(self, running: DigestVerifier, expected: set[str], bound: int, *, on_end: Callable[[], object], on_late: Callable[[str], None]) -> None:
        self._running = running
        self._bound = bound
        self._on_end = on_end
        self._on_late = on_late
        self._chunks: deque[bytes] = deque()
        self._base = 0
        self._end = 0
        self._positions = dict.fromkeys(expected, 0)
        self._absent = set(expected)
        self._hungry: set[str] = set()
        self._rest: dict[str, tuple[deque[bytes], DigestVerifier]] = {}
        self._grown = Event()
        self._drained = Event()
        self._error: BaseException | None = None
        self._stalled_seconds = 0.0
        self.ended = False

    @property
    def held_bytes(self) -> int:
        """Return how much is kept in memory."""
        return self._end - self._base

    def check_wanted(self) -> None:
        """Return while somebody reads."""
        if not self._positions:
            raise _Unwanted

    def join(self, registry: str) -> bool:
        """Return whether *registry* is fed from the first byte on, being expected and not here yet."""
        if self._error is not None or registry not in self._absent:
            return False
        self._absent.remove(registry)
        return True

    def leave(self, registry: str) -> None:
        """Keep nothing for *registry* any longer."""
        self._absent.discard(registry)
        if self._positions.pop(registry, None) is not None:
            self._trim()

    def forget_absent(self) -> None:
        """Keep nothing for who has not come."""
        for registry in list(self._absent):
            self.leave(registry)

    def rest(self, registry: str) -> tuple[deque[bytes], DigestVerifier] | None:
        """Return what *registry* has still to take and how far that is, when it was let go; None when it has all."""
        return self._rest.pop(registry, None)

    def run(self, source: Callable[[], Generator[bytes, None, None]]) -> None:
        """Read all of *source*, the last piece let through once the digest is right."""
        try:
            with contextlib.closing(source()) as chunks:
                for piece in verify_chunks(chunks, self._running):
                    self._append(piece)
        except _Unwanted:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it is read
            self._error = error
        self.ended = True
        self._grown.set()
        self._trim()

    def read(self, registry: str, *, check: Callable[[], None]) -> Iterator[bytes]:
        """Yield what comes, to the end, or until *registry* is let go."""
        taken = 0
        while registry in self._positions:
            position = self._positions[registry]
            if position < self._end:
                chunk = self._at(position)
                self._positions[registry] += len(chunk)
                taken += len(chunk)
                self._trim()
                yield chunk
            elif self.ended:
                if self._error is not None:
                    raise self._error
                return
            else:
                check()
                self._hungry.add(registry)
                self._grown.clear()
                self._grown.wait(_LOOK_SECONDS * 5)
                self._hungry.discard(registry)

    def _append(self, piece: bytes) -> None:
        while self._positions and self.held_bytes >= self._bound:
            hungry, before = bool(self._hungry), time.monotonic()
            self._drained.clear()
            self._drained.wait(_LOOK_SECONDS)
            if hungry:
                self._stalled_seconds += time.monotonic() - before
                if self._stalled_seconds > _PATIENCE_SECONDS:
                    self._let_go(piece)
        self.check_wanted()
        self._chunks.append(piece)
        self._end += len(piece)
        self._grown.set()

    def _let_go(self, coming: bytes) -> None:
        """Keep nothing more for those that are a whole buffer behind; they take what there is, *coming* too."""
        self._stalled_seconds = 0.0
        for registry, position in list(self._positions.items()):
            if position <= self._base and self.held_bytes >= self._bound:
                if registry in self._absent:
                    self._on_late(registry)
                else:
                    self._rest[registry] = deque([*self._chunks, coming]), self._running.copy()
                self.leave(registry)

    def _at(self, position: int) -> bytes:
        offset = self._base
        for chunk in self._chunks:
            if offset == position:
                return chunk
            offset += len(chunk)
        raise AssertionError(position)

    def _trim(self) -> None:
        slowest = min(self._positions.values(), default=self._end)
        while self._chunks and self._base + len(self._chunks[0]) <= slowest:
            self._base += len(self._chunks.popleft())
            self._drained.set()
        if not self._positions:
            self._on_end()
            self._drained.set()


def _running(task: Task, blob: Descriptor) -> DigestVerifier:
    return DigestVerifier(blob.digest, blob.size_bytes, f"pull blob {task.job.source.repository.with_digest(blob.digest)}")
