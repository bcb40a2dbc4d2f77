"""Download a blob, and resume when the connection breaks."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from imgsync.errors import RegistryError, UnexpectedResponseError, UnreachableError
from imgsync.oci.errors import Operation
from imgsync.oci.image_store import WrongRangeError
from imgsync.oci.limits.retry import AttemptCounter, RetryDetails, compute_pause_seconds, is_transient
from imgsync.oci.messages import NO_SUCH_RANGE, StreamedResponse
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.system.chunk import Chunk
from imgsync.text.units import parse_integer

_PARTIAL = 206
# After this much progress, failures are counted from zero; a source that breaks after each byte must not get endless tries.
_PROGRESS_BYTES = 64 << 10


def download(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, start: int = 0, end: int | None = None) -> Generator[Chunk, None, None]:
    """
    Yield the blob's bytes from *start* to *end*.

    The byte at *end* is excluded.

    A broken download resumes with `Range`, or reads the blob from its beginning again if the registry ignores ranges. Tries are counted from zero after
    each 64 KiB, or each quarter of a smaller blob.

    Raises:
        RegistryError: All tries failed.
    """
    operation = client.make_operation("pull blob", repository.with_digest(descriptor.digest))
    reached = start
    last = descriptor.size_bytes if end is None else end
    failures = since = 0
    tries = AttemptCounter(client.retry_policy.attempts)
    whole = False
    progress = min(_PROGRESS_BYTES, (last - start + 3) // 4)
    while True:
        try:
            with client.open_blob(repository, descriptor, offset=0 if whole else reached, end=end) as response:
                for chunk in _read_from(response, reached, end, operation=operation, descriptor=descriptor):
                    reached += len(chunk)
                    since += len(chunk)
                    if since >= progress:
                        failures = since = 0
                        tries = AttemptCounter(client.retry_policy.attempts)
                    yield chunk
            if reached >= last:
                return
            # A body without a length ends with its connection, so a short one raises no error.
            raise operation.make_error(UnreachableError, f"the body ended at byte {reached} of {last}")
        except WrongRangeError:
            if end is not None or whole:
                raise
            # The registry ignores ranges: read the whole blob and skip the known part.
            whole = True
        except RegistryError as error:
            failures += 1
            if not is_transient(error) or tries.count_failure(error):
                error.retries_exhausted = True
                raise
            _pause(client, error, failures)


def _pause(client: RegistryClient, error: RegistryError, failures: int) -> None:
    # The first failure is mostly a broken connection, not a busy registry, so retry at once.
    is_first_break = failures == 1 and isinstance(error, UnreachableError)
    seconds = 0.0 if is_first_break else compute_pause_seconds(client.retry_policy, error, attempt=failures)
    client.retry_policy.on_retry(RetryDetails(error.operation, error.reference, failures, seconds, error))
    client.retry_policy.pause(seconds)


def _read_from(response: StreamedResponse, offset: int, end: int | None, *, operation: Operation, descriptor: Descriptor) -> Iterator[Chunk]:
    """
    Yield the blob's bytes from *offset* on; skip what comes before.

    Raises:
        WrongRangeError: The response is another range, or the whole blob although *end* is set.
        UnexpectedResponseError: The response is compressed.
    """
    if response.status == NO_SUCH_RANGE:
        raise operation.make_error(WrongRangeError, f"the registry has no byte {offset} of the blob", status=response.status)
    expected = (descriptor.size_bytes if end is None else end) - offset if response.status == _PARTIAL else descriptor.size_bytes
    # Some stores label a gzipped layer as encoded. If its length is right, it is the blob as stored.
    if (
        response.headers.get("content-encoding", "identity").lower() not in {"", "identity"}
        and parse_integer(response.headers.get("content-length", "")) != expected
    ):
        raise operation.make_error(UnexpectedResponseError, "the body is compressed although identity was requested", status=response.status)
    if response.status == _PARTIAL:
        claimed = re.fullmatch(r"bytes ([0-9]{1,15})-([0-9]{1,15})/(?:[0-9]{1,15}|\*)", response.headers.get("content-range", ""))
        if claimed is None or int(claimed[1]) != offset or (end is not None and int(claimed[2]) != end - 1):
            raise operation.make_error(WrongRangeError, "the registry resumed at another byte", status=_PARTIAL)
        yield from response.chunks
        return
    if end is not None:
        raise operation.make_error(WrongRangeError, "the registry sent the whole blob instead of a range", status=response.status)
    skip = offset
    for chunk in response.chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        yield chunk[skip:] if skip else chunk
        skip = 0
