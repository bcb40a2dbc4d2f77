"""A blob's bytes, whole, though connections break: a cut download goes on at the byte reached."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from imgsync.errors import RegistryError, UnexpectedResponseError, UnreachableError
from imgsync.oci.limits.retry import AttemptCounter, RetryDetails, compute_pause_seconds, is_transient
from imgsync.oci.messages import StreamedAnswer
from imgsync.oci.registry import NO_SUCH_RANGE, RegistryClient
from imgsync.oci.spec.manifest import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.text.units import parse_integer

_PARTIAL = 206
# So many bytes are progress, after which all tries are left again: a source that breaks after each byte is not borne with for as many tries as there are bytes.
_PROGRESS_BYTES = 64 << 10


class WrongRangeError(UnexpectedResponseError):
    """What came is not the range that was asked for."""


def download(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, start: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
    """
    Yield the blob's bytes from *start* to *end* (excluded; None is the blob's own) in order, each once, resuming with `Range` after a break.

    The number of tries counts anew after each 64 KiB of progress, or each quarter of a blob that is smaller; where ranges cannot be had it begins
    anew and passes over what is known. Spec: design.md §7.6.

    Raises:
        RegistryError: It cannot be had within the tries of the client's retry policy.
    """
    reached = start
    last = descriptor.size_bytes if end is None else end
    failures = since = 0
    tries = AttemptCounter(client.retry_policy.attempts)
    whole = False
    progress = min(_PROGRESS_BYTES, (last - start + 3) // 4)
    while True:
        try:
            with client.open_blob(repository, descriptor, offset=0 if whole else reached, end=end) as answer:
                for chunk in _from_offset(answer, reached, end, client=client, repository=repository, descriptor=descriptor):
                    reached += len(chunk)
                    since += len(chunk)
                    if since >= progress:
                        failures = since = 0
                        tries = AttemptCounter(client.retry_policy.attempts)
                    yield chunk
            if reached >= last:
                return
            # A body that ends with its connection may be short without any error.
            raise client.operation("pull blob", repository.with_digest(descriptor.digest)).failed(
                UnreachableError, f"the body ended at byte {reached} of {last}"
            )
        except WrongRangeError:
            if end is not None or whole:
                raise
            # Where parts are not to be had, the whole is; what is known of it is passed over.
            whole = True
        except RegistryError as error:
            failures += 1
            if not is_transient(error) or tries.count_failure(error):
                error.tried_out = True
                raise
            _pause(client, error, failures)


def _pause(client: RegistryClient, error: RegistryError, failures: int) -> None:
    # The first break of a download is mostly a broken connection, not a busy registry: go on at once.
    at_once = failures == 1 and isinstance(error, UnreachableError)
    seconds = 0.0 if at_once else compute_pause_seconds(client.retry_policy, error, attempt=failures)
    client.retry_policy.on_retry(RetryDetails(error.operation, error.reference, failures, seconds, error))
    client.retry_policy.pause(seconds)


def _from_offset(
    answer: StreamedAnswer, offset: int, end: int | None, *, client: RegistryClient, repository: Repository, descriptor: Descriptor
) -> Iterator[bytes]:
    """
    Yield the bytes of *answer* from *offset* on, wherever it begins itself.

    Raises:
        WrongRangeError: It is another range than was asked for, or none though an *end* was.
        UnexpectedResponseError: It is compressed.
    """
    operation = client.operation("pull blob", repository.with_digest(descriptor.digest))
    if answer.status == NO_SUCH_RANGE:
        raise operation.failed(WrongRangeError, f"the registry says that there is no byte {offset}", status=answer.status)
    asked = (descriptor.size_bytes if end is None else end) - offset if answer.status == _PARTIAL else descriptor.size_bytes
    # Stores that keep a layer as it is may say of it that it is gzip, which is true, and no encoding: as long as it is, it is the blob.
    if answer.headers.get("content-encoding", "identity").lower() not in {"", "identity"} and parse_integer(answer.headers.get("content-length", "")) != asked:
        raise operation.failed(UnexpectedResponseError, "the body is compressed though it was asked for as it is", status=answer.status)
    if answer.status == _PARTIAL:
        claimed = re.fullmatch(r"bytes ([0-9]{1,15})-([0-9]{1,15})/(?:[0-9]{1,15}|\*)", answer.headers.get("content-range", ""))
        if claimed is None or int(claimed[1]) != offset or (end is not None and int(claimed[2]) != end - 1):
            raise operation.failed(WrongRangeError, "the registry resumed at another byte", status=_PARTIAL)
        yield from answer.chunks
        return
    if end is not None:
        raise operation.failed(WrongRangeError, "the registry sends the whole where a range was asked for", status=answer.status)
    skip = offset
    for chunk in answer.chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        yield chunk[skip:] if skip else chunk
        skip = 0
