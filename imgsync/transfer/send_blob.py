"""Stream one blob from the source into an upload session."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from imgsync.concurrency.deadline import stream_chunks
from imgsync.errors import ImgsyncError, QuotaExceededError, RegistryError, UnreachableError
from imgsync.oci.image_store import Upload
from imgsync.oci.messages import NO_SUCH_RANGE
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.transfer.fan_out import FanOut
from imgsync.transfer.model import Task

_SESSION_LOST_CODES = {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID"}


class BlobSender:
    """Sends blobs; one per run, which remembers projects over their quota."""

    def __init__(self, fan_out: FanOut) -> None:
        """Read blobs through *fan_out*."""
        self._fan_out = fan_out
        # By registry and project, which is the first component of a repository's path.
        self._full_projects: dict[tuple[str, str], QuotaExceededError] = {}

    def send(self, task: Task, blob: Descriptor, session: Upload, readers: Sequence[str]) -> None:
        """
        Send the blob; on an error cancel *session* and uncount the bytes.

        Args:
            task: The copy that needs the blob.
            blob: What to send.
            session: Where to send it.
            readers: Registries that will read the same blob.

        Raises:
            QuotaExceededError: The project has no space left.
            UnreachableError: The registry lost the session, as after a restart.
            ImgsyncError: Any other failure to read or to send.
        """
        moved_bytes = 0

        def count(size_bytes: int) -> None:
            nonlocal moved_bytes
            moved_bytes += size_bytes
            _count_bytes(task, size_bytes)

        task.listener.on_need(blob)
        try:
            self._raise_if_full(task, blob)
            with contextlib.closing(self._fan_out.read(task, blob, readers)) as chunks:
                session.put(stream_chunks(chunks, deadline=task.deadline, on_bytes=count))
        except ImgsyncError as error:
            if isinstance(error, QuotaExceededError):
                self._full_projects.setdefault(_project(task), error)
            _count_bytes(task, -moved_bytes)
            session.cancel()
            if isinstance(error, RegistryError) and (error.code in _SESSION_LOST_CODES or error.status == NO_SUCH_RANGE):
                raise _to_retryable(error) from error
            raise

    def _raise_if_full(self, task: Task, blob: Descriptor) -> None:
        # Registries find out only at the end of an upload: do not send another blob for nothing.
        full = self._full_projects.get(_project(task))
        if full is not None:
            operation = task.destination.make_operation("push blob", task.repository.with_digest(blob.digest))
            raise operation.make_error(QuotaExceededError, full.detail, status=full.status, code=full.code, hint=full.hint)


def _project(task: Task) -> tuple[str, str]:
    return task.repository.registry, task.repository.path.partition("/")[0]


def _count_bytes(task: Task, size_bytes: int) -> None:
    task.progress.bytes_copied += size_bytes
    task.listener.on_bytes(size_bytes)


def _to_retryable(error: RegistryError) -> UnreachableError:
    """Return a transient error: a new session may work."""
    return UnreachableError(error.operation, error.reference, origin=error.origin, detail=error.detail, status=error.status, code=error.code)
