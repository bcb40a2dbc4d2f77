"""
Write a bundle: each blob at its place, in any order.

Work in progress lies in `OUT/.NAME.partial/`: volumes under way, and a journal of finished blobs. A killed run loses the blobs that were
under way, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from imgsync.bundle.model import Bundle
from imgsync.bundle.placement import Placement
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.system.chunk import Chunk


class BlobSink:
    """Takes the bytes of one blob."""

    def write(self, chunk: Chunk) -> None:
        """
        Take the next bytes; they may change after this returns.

        Raises:
            ContentMismatchError: The blob is longer than it should be.
            OutputError: They cannot be written, such as on a full disk.
        """
        raise NotImplementedError

    def commit(self) -> None:
        """
        Check digest and size, and note the blob as finished.

        Raises:
            ContentMismatchError: Digest or size differ; the blob is not noted.
            OutputError: It cannot be written.
        """
        raise NotImplementedError

    def abort(self) -> None:
        """Give up the blob; it may begin again. Does nothing after `commit`."""
        raise NotImplementedError


class BundleWriter:
    """
    Writes a bundle, and continues what an earlier run left.

    One process at a time. A context manager; leaving it without `finish` keeps what was written for the next run.
    """

    def __init__(self, folder: Path, placement: Placement, *, only_volume: int | None = None) -> None:
        """
        Open *folder* for the bundle of *placement*.

        Finished blobs of an earlier run are kept, and moved if their place changed. With *only_volume*, make only this volume of the bundle in
        *folder* again.

        Raises:
            UsageError: The folder holds another bundle, or *only_volume* is given and it does not hold this one.
            LockedError: Another process writes there.
            OutputError: The folder cannot be written, or has too little space.
        """
        raise NotImplementedError

    def __enter__(self) -> BundleWriter:
        """Return the writer."""
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        """Close the files, and let other processes write."""
        self.close()

    @property
    def is_complete(self) -> bool:
        """Return whether the folder already holds exactly this bundle."""
        raise NotImplementedError

    def has(self, digest: str) -> bool:
        """Return whether a blob is finished, in this or an earlier run."""
        raise NotImplementedError

    def is_placed(self, digest: str) -> bool:
        """Return whether a blob lies in what is made."""
        raise NotImplementedError

    def begin(self, blob: Descriptor) -> BlobSink:
        """
        Return a sink for a blob that is placed and not finished.

        One sink at a time for a blob: callers share the work on a blob that several images have, such as with `SingleFlight`.

        Raises:
            ValueError: It is not placed, is finished, or has a sink already.
        """
        raise NotImplementedError

    def write_whole(self, digest: str, data: bytes) -> None:
        """
        Write a small blob, unless it is finished.

        Raises:
            ValueError: It is not placed.
            ContentMismatchError: *data* is another blob.
            OutputError: It cannot be written.
        """
        raise NotImplementedError

    def missing(self) -> Iterable[str]:
        """Yield the digests of blobs that are placed and not finished."""
        raise NotImplementedError

    def finish(self) -> Bundle:
        """
        Complete the volumes, read them back, and write the document last.

        Raises:
            ValueError: A blob is missing.
            OutputError: A volume cannot be written, or is read back with other bytes.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close the files, and let other processes write."""
