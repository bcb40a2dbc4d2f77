"""
Read ranges of a large blob in parallel from far sources.

One connection over a long distance carries little. What is read ahead is bounded: a number of segments for the whole run.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial

from imgsync.concurrency.greenlets import Event, Semaphore, spawn
from imgsync.oci.image_store import ImageStore, WrongRangeError
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.system.chunk import Chunk

_SEGMENT_BYTES = 2 << 20
_SEGMENTS_AHEAD = 20
# Below this size, more connections cost more than they gain.
_LARGE_BYTES = 8 << 20


class RangeReader:
    """Reads blobs. One per run, so that its segments are bounded together."""

    def __init__(self) -> None:
        """Begin with nothing read ahead."""
        self._places = Semaphore(_SEGMENTS_AHEAD)

    def read(self, client: ImageStore, repository: Repository, blob: Descriptor, *, start: int) -> Generator[Chunk, None, None]:
        """
        Yield the blob's bytes from *start* on, in order and unverified.

        Raises:
            RegistryError: As `download`.
        """
        reached = start
        if client.capabilities.is_far and client.capabilities.has_ranges and blob.size_bytes - start >= _LARGE_BYTES:
            try:
                for chunk in self._read_in_parallel(client, repository, blob, start):
                    reached += len(chunk)
                    yield chunk
            except _NoRangesError:
                client.capabilities.learn_no_ranges()
        if reached < blob.size_bytes or not blob.size_bytes:
            yield from client.download(repository, blob, start=reached)

    def _read_in_parallel(self, client: ImageStore, repository: Repository, blob: Descriptor, start: int) -> Iterator[Chunk]:
        starts = iter(range(start, blob.size_bytes, _SEGMENT_BYTES))
        opened: deque[_Segment] = deque()
        try:
            while self._open_segments(starts, opened, partial(_Segment, client, repository, blob)):
                chunk = opened[0].next()
                if chunk is None:
                    opened.popleft().close()
                else:
                    yield chunk
        finally:
            for segment in opened:
                segment.close()

    def _open_segments(self, starts: Iterator[int], opened: deque[_Segment], open_segment: Callable[[int, Semaphore | None], _Segment]) -> bool:
        """Open segments while places are free; return whether one is open."""
        if not opened:
            opened.extend(open_segment(start, None) for start in itertools.islice(starts, 1))
        # Open more only after the first has shown that the source serves ranges.
        while opened and opened[0].has_begun and self._places.acquire(blocking=False):
            start = next(starts, None)
            if start is None:
                self._places.release()
                break
            opened.append(open_segment(start, self._places))
        return bool(opened)


class _NoRangesError(Exception):
    """The source does not serve the range that was requested."""


class _Segment:
    """One range, read into memory in a greenlet."""

    def __init__(self, client: ImageStore, repository: Repository, blob: Descriptor, start: int, places: Semaphore | None) -> None:
        """Start reading from *start*; give one of *places* back at the end."""
        self._chunks: deque[Chunk] = deque()
        self._grown = Event()
        self._error: BaseException | None = None
        self._has_ended = False
        self._is_closed = False
        self._places = places
        self.has_begun = False
        end = min(start + _SEGMENT_BYTES, blob.size_bytes)
        spawn(lambda: self._run(client, repository, blob, start, end))

    def next(self) -> Chunk | None:
        """Return the next bytes, None after the last."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return None
            self._grown.clear()
            self._grown.wait()
        return self._chunks.popleft()

    def close(self) -> None:
        """Drop the bytes, stop reading, and give the place back."""
        self._is_closed = True
        self._chunks.clear()
        if self._places is not None:
            self._places.release()
            self._places = None

    def _run(self, client: ImageStore, repository: Repository, blob: Descriptor, start: int, end: int) -> None:
        try:
            with contextlib.closing(client.download(repository, blob, start=start, end=end)) as chunks:
                for chunk in chunks:
                    if self._is_closed:
                        return
                    self.has_begun = True
                    self._chunks.append(chunk)
                    self._grown.set()
        except WrongRangeError as error:
            self._error = _NoRangesError(str(error))
        except BaseException as error:  # noqa: BLE001 - raised by `next`
            self._error = error
        finally:
            self._has_ended = True
            self._grown.set()
