"""
Several ranges of a large blob side by side, put back in order: for sources that are far away, where one connection carries little.

What is read ahead is bounded: so many segments in all, of whatever blobs. Spec: design.md §7.6, §7.7.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Generator, Iterator

from imgsync.concurrency.greenlets import Event, Semaphore, spawn
from imgsync.errors import RegistryError
from imgsync.oci.download import WrongRangeError, download
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.manifest import Descriptor
from imgsync.oci.spec.reference import Repository

_SEGMENT_BYTES = 2 << 20
_SEGMENTS = 20
# Below this, opening more connections costs more than they carry.
_LARGE_BYTES = 8 << 20


class Ranges:
    """Reads blobs; one per run, so that its segments are bounded together."""

    def __init__(self) -> None:
        """Begin with nothing read ahead."""
        self._places = Semaphore(_SEGMENTS)

    def chunks(self, client: RegistryClient, repository: Repository, blob: Descriptor, *, start: int) -> Generator[bytes, None, None]:
        """
        Yield the blob's bytes from *start* on, in order, not checked against its digest.

        Raises:
            RegistryError: As `download`.
        """
        reached = start
        if client.capabilities.is_far and client.capabilities.has_ranges and blob.size_bytes - start >= _LARGE_BYTES:
            try:
                for chunk in self._side_by_side(client, repository, blob, start):
                    reached += len(chunk)
                    yield chunk
            except _NoRangesError:
                client.capabilities.learn_no_ranges()
        if reached < blob.size_bytes or not blob.size_bytes:
            yield from download(client, repository, blob, start=reached)

    def _side_by_side(self, client: RegistryClient, repository: Repository, blob: Descriptor, start: int) -> Iterator[bytes]:
        segments: deque[_Segment] = deque()
        starts = iter(range(start, blob.size_bytes, _SEGMENT_BYTES))
        try:
            while True:
                # One is always being read; more where places are free, and once the first has shown that ranges work.
                while not segments or (segments[0].began and self._places.acquire(blocking=False)):
                    ahead = bool(segments)
                    begin = next(starts, None)
                    if begin is None:
                        if ahead:
                            self._places.release()
                        break
                    segments.append(_Segment(client, repository, blob, begin, self._places if ahead else None))
                if not segments:
                    return
                segment = segments[0]
                chunk = segment.next()
                if chunk is None:
                    segments.popleft().close()
                else:
                    yield chunk
        finally:
            for segment in segments:
                segment.close()


class _NoRangesError(Exception):
    """The source does not give what was asked for."""


class _Segment:
    """One range, read in a greenlet of its own into memory."""

    def __init__(self, client: RegistryClient, repository: Repository, blob: Descriptor, start: int, places: Semaphore | None) -> None:
        self._chunks: deque[bytes] = deque()
        self._grown = Event()
        self._error: BaseException | None = None
        self._ended = False
        self._unwanted = False
        self._places = places
        self.began = False
        end = min(start + _SEGMENT_BYTES, blob.size_bytes)
        spawn(lambda: self._run(client, repository, blob, start, end))

    def next(self) -> bytes | None:
        """Return the next bytes, None after the last."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._grown.clear()
            self._grown.wait()
        return self._chunks.popleft()

    def close(self) -> None:
        """Keep nothing, read no further, and give the place back."""
        self._unwanted = True
        self._chunks.clear()
        if self._places is not None:
            self._places.release()
            self._places = None

    def _run(self, client: RegistryClient, repository: Repository, blob: Descriptor, start: int, end: int) -> None:
        try:
            with contextlib.closing(download(client, repository, blob, start=start, end=end)) as chunks:
                for chunk in chunks:
                    if self._unwanted:
                        return
                    self.began = True
                    self._chunks.append(chunk)
                    self._grown.set()
        except WrongRangeError as error:
            self._error = _NoRangesError(str(error))
        except RegistryError as error:
            self._error = error
        except BaseException as error:  # noqa: BLE001 - raised where it is read
            self._error = error
        finally:
            self._ended = True
            self._grown.set()
