"""A blob's bytes, whole, though connections break: a cut download goes on at the byte reached."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from imgsync.errors import RegistryError, UnexpectedResponseError, UnreachableError
from imgsync.oci.manifest import Descriptor
from imgsync.oci.reference import Repository
from imgsync.oci.registry import RegistryClient
from imgsync.oci.retry import RetryDetails, Tries, is_transient, pause_seconds
from imgsync.oci.transport import StreamedAnswer

_PARTIAL = 206


def download(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, start: int = 0, end: int | None = None) -> Generator[bytes, None, None]:
    """
    Yield the blob's bytes from *start* to *end* (excluded; None is the blob's own) in order, each once, resuming with `Range` after a break.

    The number of tries counts anew after each byte of progress. Spec: design.md §7.6.

    Raises:
        RegistryError: It cannot be had within the tries of the client's patience.
    """
    reached = start
    last = descriptor.size_bytes if end is None else end
    failures, tries = 0, Tries(client.patience.attempts)
    while True:
        try:
            with client.open_blob(repository, descriptor, offset=reached, end=end) as answer:
                for chunk in _from_offset(answer, reached, end, client=client, repository=repository, descriptor=descriptor):
                    reached += len(chunk)
                    if failures:
                        failures, tries = 0, Tries(client.patience.attempts)
                    yield chunk
            if reached >= last:
                return
            # A body that ends with its connection may be short without any error.
            raise client.operation("pull blob", repository.at(descriptor.digest)).failed(UnreachableError, f"the body ended at byte {reached} of {last}")
        except RegistryError as error:
            failures += 1
            if not is_transient(error) or tries.spent_by(error):
                error.tried_out = True
                raise
            _pause(client, error, failures)


def _pause(client: RegistryClient, error: RegistryError, failures: int) -> None:
    # The first break of a download is mostly a broken connection, not a busy registry: go on at once.
    at_once = failures == 1 and isinstance(error, UnreachableError)
    seconds = 0.0 if at_once else pause_seconds(client.patience, error, attempt=failures)
    client.patience.on_retry(RetryDetails(error.operation, error.reference, failures, seconds, error))
    client.patience.pause(seconds)


def _from_offset(
    answer: StreamedAnswer, offset: int, end: int | None, *, client: RegistryClient, repository: Repository, descriptor: Descriptor
) -> Iterator[bytes]:
    """
    Yield the bytes of *answer* from *offset* on, wherever it begins itself.

    Raises:
        UnexpectedResponseError: It is another range than was asked for, or none though an *end* was.
    """
    operation = client.operation("pull blob", repository.at(descriptor.digest))
    if answer.status == _PARTIAL:
        claimed = re.fullmatch(r"bytes ([0-9]{1,15})-([0-9]{1,15})/(?:[0-9]{1,15}|\*)", answer.headers.get("content-range", ""))
        if claimed is None or int(claimed[1]) != offset or (end is not None and int(claimed[2]) != end - 1):
            raise operation.failed(UnexpectedResponseError, "the registry resumed at another byte", status=_PARTIAL)
        yield from answer.chunks
        return
    if end is not None:
        raise operation.failed(UnexpectedResponseError, "the registry sends the whole where a range was asked for", status=answer.status)
    skip = offset
    for chunk in answer.chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        yield chunk[skip:] if skip else chunk
        skip = 0
