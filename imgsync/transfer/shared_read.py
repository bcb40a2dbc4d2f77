"""
Hand one read of a blob to several destination registries.

Keeps what the slowest consumer has still to take, up to a bound. A consumer that holds up the others for a second is detached:
it reads the rest alone, from the byte it has reached.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import Enum, auto

from imgsync.concurrency.greenlets import Event
from imgsync.oci.spec.digest import DigestVerifier, verify_chunks
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass

_STALL_SECONDS = 1.0
_DRAIN_POLL_SECONDS = 0.05
_TAKE_POLL_SECONDS = 0.25


class ConsumerState(Enum):
    """
    The part of one destination registry in a shared read.

    ```
    EXPECTED ── join ──> TAKING <──> WAITING
       │                   │            │
       ├──── too slow ─────┴> DETACHED  │
       └───── leave ───────┴────────────┴──> LEFT
    ```
    """

    EXPECTED = auto()
    """Announced; its bytes are kept from the first on."""

    TAKING = auto()
    """Takes bytes, or sends the last ones it took."""

    WAITING = auto()
    """Has taken all there is, and waits for more."""

    DETACHED = auto()
    """Held up the others; reads the rest alone."""

    LEFT = auto()
    """Has all it needs."""


@dataclass(slots=True, eq=False)
class Consumer:
    """One destination registry in a shared read."""

    state: ConsumerState = ConsumerState.EXPECTED
    position: int = 0
    """The byte that it takes next."""

    rest: tuple[deque[Chunk], DigestVerifier] | None = None
    """When it was detached: bytes still to take, and a verifier that has seen them."""


class _UnusedError(Exception):
    """The read has no consumer any more."""


class SharedRead:
    """The bytes of one blob between one reader and its consumers."""

    def __init__(
        self, verifier: DigestVerifier, expected: Iterable[str], bound_bytes: int, *, on_end: Callable[[], object], on_late: Callable[[str], None]
    ) -> None:
        """
        Prepare; nothing is read before `run`.

        Args:
            verifier: Checks the blob; has seen nothing yet.
            expected: Registries that need the blob.
            bound_bytes: How much is kept for the slowest consumer.
            on_end: Called when the last consumer left.
            on_late: Called with each registry that was detached before it joined.
        """
        self._verifier = verifier
        self.bound_bytes = bound_bytes
        self._on_end = on_end
        self._on_late = on_late
        self._consumers = {registry: Consumer() for registry in expected}
        self._chunks: deque[Chunk] = deque()
        # Offsets in the blob: of the first byte kept, and one past the last.
        self._base = 0
        self._end = 0
        self._grown = Event()
        self._drained = Event()
        self._error: BaseException | None = None
        self._stalled_seconds = 0.0
        self.has_ended = False

    @property
    def held_bytes(self) -> int:
        """Return how much is kept in memory."""
        return self._end - self._base

    def raise_if_unused(self) -> None:
        """Return while there are consumers, else end the read with an exception."""
        if not self._consumers:
            raise _UnusedError

    def join(self, registry: str) -> Consumer | None:
        """Return the consumer of *registry*, None if it must read alone."""
        consumer = self._consumers.get(registry)
        if self._error is not None or consumer is None or consumer.state is not ConsumerState.EXPECTED:
            return None
        consumer.state = ConsumerState.TAKING
        return consumer

    def leave(self, registry: str) -> None:
        """Keep nothing for *registry* any longer."""
        self._remove(registry, ConsumerState.LEFT)

    def drop_expected(self) -> None:
        """Keep nothing for registries that have not joined."""
        for registry, consumer in list(self._consumers.items()):
            if consumer.state is ConsumerState.EXPECTED:
                self.leave(registry)

    def run(self, open_source: Callable[[], Generator[Chunk, None, None]]) -> None:
        """Read the source; pass the last piece on only once verified."""
        try:
            with contextlib.closing(open_source()) as chunks:
                for piece in verify_chunks(chunks, self._verifier):
                    self._append(piece)
        except _UnusedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised in the consumers' greenlets
            self._error = error
        self.has_ended = True
        self._grown.set()
        self._trim()

    def take(self, consumer: Consumer, *, check: Callable[[], None]) -> Iterator[Chunk]:
        """Yield the blob's bytes, until *consumer* has all or is detached."""
        while consumer.state is ConsumerState.TAKING:
            if consumer.position < self._end:
                chunk = self._chunk_at(consumer.position)
                consumer.position += len(chunk)
                self._trim()
                yield chunk
            elif self.has_ended:
                if self._error is not None:
                    raise self._error
                return
            else:
                check()
                self._wait_for_more(consumer)

    def _wait_for_more(self, consumer: Consumer) -> None:
        consumer.state = ConsumerState.WAITING
        self._grown.clear()
        self._grown.wait(_TAKE_POLL_SECONDS)
        if consumer.state is ConsumerState.WAITING:
            consumer.state = ConsumerState.TAKING

    def _append(self, piece: Chunk) -> None:
        """Keep *piece* once the slowest consumer has taken enough."""
        while self._consumers and self.held_bytes >= self.bound_bytes:
            holds_up_others = any(consumer.state is ConsumerState.WAITING for consumer in self._consumers.values())
            began = time.monotonic()
            self._drained.clear()
            self._drained.wait(_DRAIN_POLL_SECONDS)
            if holds_up_others:
                self._stalled_seconds += time.monotonic() - began
                if self._stalled_seconds > _STALL_SECONDS:
                    self._detach_slowest(piece)
        self.raise_if_unused()
        self._chunks.append(piece)
        self._end += len(piece)
        self._grown.set()

    def _detach_slowest(self, next_piece: Chunk) -> None:
        """Detach consumers that are a whole buffer behind."""
        self._stalled_seconds = 0.0
        for registry, consumer in list(self._consumers.items()):
            if consumer.position <= self._base and self.held_bytes >= self.bound_bytes:
                if consumer.state is ConsumerState.EXPECTED:
                    self._on_late(registry)
                else:
                    # `next_piece` was read, but is not in `_chunks` yet.
                    consumer.rest = deque([*self._chunks, next_piece]), self._verifier.copy()
                self._remove(registry, ConsumerState.DETACHED)

    def _remove(self, registry: str, state: ConsumerState) -> None:
        consumer = self._consumers.pop(registry, None)
        if consumer is not None:
            consumer.state = state
            self._trim()

    def _chunk_at(self, position: int) -> Chunk:
        offset = self._base
        for chunk in self._chunks:
            if offset == position:
                return chunk
            offset += len(chunk)
        raise AssertionError(position)

    def _trim(self) -> None:
        """Drop what every consumer has taken."""
        slowest = min((consumer.position for consumer in self._consumers.values()), default=self._end)
        while self._chunks and self._base + len(self._chunks[0]) <= slowest:
            self._base += len(self._chunks.popleft())
            self._drained.set()
        if not self._consumers:
            self._on_end()
            self._drained.set()
