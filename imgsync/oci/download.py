"""A blob's bytes, whole, though connections break: a cut download goes on at the byte reached."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from imgsync.errors import RegistryError, UnexpectedResponseError, UnreachableError
from imgsync.oci.manifest import Descriptor
from imgsync.oci.reference import Repository
from imgsync.oci.registry import RegistryClient
from imgsync.oci.retry import RetryDetails, is_transient, pause_seconds
from imgsync.oci.transport import StreamedAnswer


def download(client: RegistryClient, repository: Repository, descriptor: Descriptor) -> Generator[bytes, None, None]:
    """
    Yield the blob's bytes in order, each once, resuming with `Range` after a break.

    The number of tries counts anew after each byte of progress. Spec: design.md §7.6.

    Raises:
        RegistryError: It cannot be had within the tries of the client's patience.
    """
    reached = 0
    failures = 0
    while True:
        try:
            with client.open_blob(repository, descriptor, offset=reached) as answer:
                for chunk in _from_offset(answer, reached, client=client, repository=repository, descriptor=descriptor):
                    reached += len(chunk)
                    failures = 0
                    yield chunk
            if reached >= descriptor.size_bytes:
                return
            # A body that ends with its connection may be short without any error.
            raise client.operation("pull blob", repository.at(descriptor.digest)).failed(
                UnreachableError, f"the body ended at byte {reached} of {descriptor.size_bytes}"
            )
        except RegistryError as error:
            failures += 1
            if not is_transient(error) or failures >= client.patience.attempts:
                error.tried_out = True
                raise
            _pause(client, error, failures)


def _pause(client: RegistryClient, error: RegistryError, failures: int) -> None:
    # The first break of a download is mostly a broken connection, not a busy registry: go on at once.
    at_once = failures == 1 and isinstance(error, UnreachableError)
    seconds = 0.0 if at_once else pause_seconds(client.patience, error, attempt=failures)
    client.patience.on_retry(RetryDetails(error.operation, error.reference, failures, seconds, error))
    client.patience.pause(seconds)


def _from_offset(answer: StreamedAnswer, offset: int, *, client: RegistryClient, repository: Repository, descriptor: Descriptor) -> Iterator[bytes]:
    if offset and answer.status == 206:
        claimed = re.fullmatch(r"bytes ([0-9]{1,15})-[0-9]{1,15}/(?:[0-9]{1,15}|\*)", answer.headers.get("content-range", ""))
        if claimed is None or int(claimed.group(1)) != offset:
            raise client.operation("pull blob", repository.at(descriptor.digest)).failed(
                UnexpectedResponseError, "the registry resumed at another byte", status=206
            )
        yield from answer.chunks
        return
    skip = offset
    for chunk in answer.chunks:
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        yield chunk[skip:] if skip else chunk
        skip = 0
