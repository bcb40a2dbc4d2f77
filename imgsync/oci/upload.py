"""
One blob into one repository: mount or begin, put whole or in chunks, cancel.

Spec: distribution-spec 1.1 "Pushing Blobs": end-4a, end-5, end-6, end-11.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from imgsync.errors import (
    InsecureError,
    QuotaSpentError,
    RateLimitedError,
    RegistryError,
    RejectedError,
    TooLargeError,
    UnexpectedResponseError,
    UnreachableError,
)
from imgsync.oci.errors import Operation
from imgsync.oci.http.url import has_credentials, origin_of, parse_url
from imgsync.oci.messages import Answer, Call, StreamedAnswer
from imgsync.oci.registry import RegistryClient, repository_scopes
from imgsync.oci.responses import led_to
from imgsync.oci.spec.manifest import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.text.units import parse_integer

# Sizes of a request's body to try, one after the other, where a registry or a proxy before it refuses the last one as too large.
_CHUNK_SIZES = (64 << 20, 16 << 20, 4 << 20, 1 << 20)
# From here on a round trip more, to ask whether the body is wanted, is nothing beside the body.
_ASKED_BYTES = 32 << 20


@dataclass(slots=True)
class UploadSession:
    """A place to put one blob, as the registry last named it; `least_bytes` is the least that it takes in any chunk but the last."""

    client: RegistryClient
    repository: Repository
    descriptor: Descriptor
    location: str
    least_bytes: int = 0

    def put(self, chunks: Iterable[bytes]) -> None:
        """
        Send the blob in one streamed PUT, `Content-Length` given; in several PATCHes where one was too large for this registry.

        One try: chunks cannot be rewound. After a `TooLargeError` the next session tries smaller ones.

        Raises:
            RegistryError: The registry refuses, or the connection breaks; whatever the chunks raise goes through.
        """
        most = self.client.capabilities.body_limit_bytes
        size = self.descriptor.size_bytes
        with self._learning_limits(size if most is None else min(most, size)):
            if most is None or size <= most:
                self._send("PUT", self._closing(), chunks if size else None, size, accept={201, 204})
            else:
                self._put_in_chunks(chunks, max(most, self.least_bytes))

    def _put_in_chunks(self, chunks: Iterable[bytes], most: int) -> None:
        """Send PATCH after PATCH, each streamed, each checked against what the registry says to have; then close."""
        pieces = _Pieces(chunks)
        sent, size = 0, self.descriptor.size_bytes
        while sent < size:
            length = min(most, size - sent)
            headers = {"Content-Range": f"{sent}-{sent + length - 1}"}
            answer = self._send("PATCH", self.location, pieces.take(length), length, accept={202, 204}, headers=headers)
            sent += length
            said = parse_integer(answer.headers.get("range", "").rpartition("-")[2])
            if said is not None and said != sent - 1:
                # 0-0 is also how no byte at all is told of.
                what = f"it says to have {said + 1} bytes after {sent} were sent"
                declared = self.client.transport.endpoint.chunk_bytes is not None
                hint = f"it does not take a blob in parts{'; take chunk_size out of registries.yaml' if declared else ''}"
                raise self._operation.failed(UnexpectedResponseError, what, status=answer.status, hint=hint)
            self.location = _location(self.client, self._operation, answer.headers.get("location", ""), base=self.location, status=answer.status)
        pieces.finish()
        self._send("PUT", self._closing(), None, 0, accept={201, 204})

    def _closing(self) -> str:
        # Appended as text: re-encoding the query would spoil the registry's own `_state`.
        return f"{self.location}{'&' if '?' in self.location else '?'}digest={quote(self.descriptor.digest, safe='')}"

    @property
    def _operation(self) -> Operation:
        return self.client.operation("push blob", self.repository.with_digest(self.descriptor.digest))

    def _send(
        self, method: str, url: str, body: Iterable[bytes] | None, length: int, *, accept: set[int], headers: Mapping[str, str] | None = None
    ) -> StreamedAnswer:
        call = Call(
            self._operation,
            method,
            url,
            scopes=repository_scopes(self.repository, "pull,push"),
            accept=frozenset(accept),
            headers={"Content-Type": "application/octet-stream", **(headers or {})},
            body=body,
            length_bytes=length,
            expects=body is not None and (method == "PATCH" or length >= _ASKED_BYTES),
            commits=method == "PUT",
        )
        with self.client.transport.stream(call, retry_policy=self.client.retry_policy) as answer:
            return answer

    @contextlib.contextmanager
    def _learning_limits(self, sent: int) -> Iterator[None]:
        """Where a body of *sent* bytes is too large, note the next size to try; without one the registry's refusal stands."""
        try:
            yield
        except RejectedError as error:
            smaller = next((size for size in _CHUNK_SIZES if size < sent), None)
            if error.status != 413 or smaller is None or isinstance(error, QuotaSpentError):
                raise
            self.client.capabilities.learn_body_limit(smaller)
            raise self._operation.failed(TooLargeError, error.detail, status=413, code=error.code) from error

    def cancel(self) -> None:
        """Tell the registry to forget the session; it would do so by itself in time, so no failure matters."""
        call = Call(
            self.client.operation("cancel upload", self.repository.with_digest(self.descriptor.digest)),
            "DELETE",
            self.location,
            scopes=repository_scopes(self.repository, "pull,push"),
            accept=frozenset(range(200, 600)),
        )
        with contextlib.suppress(RegistryError), self.client.transport.stream(call, retry_policy=self.client.retry_policy):
            return


def begin_upload(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, mount_from: str) -> UploadSession | None:
    """
    Return a session for the blob, None when the registry has mounted it from the repository path *mount_from* ("" for from nowhere).

    A registry that refuses the mount itself is asked for a plain session.

    Raises:
        RegistryError: No session is to be had.
    """
    query = f"?mount={quote(descriptor.digest, safe=':')}&from={quote(mount_from, safe='/')}" if mount_from else ""
    try:
        answer = _post(client, repository, descriptor, query=query, mount_from=mount_from)
    except RateLimitedError:
        raise
    except RegistryError as error:
        # Without a status it cannot be reached at all; a 5xx that stays may be about the mount alone.
        if not query or (isinstance(error, UnreachableError) and error.status is None):
            raise
        answer = _post(client, repository, descriptor, query="", mount_from="")
    if answer.status == 201:
        return None
    operation = client.operation("begin upload of blob", repository.with_digest(descriptor.digest))
    location = _location(client, operation, answer.headers.get("location", ""), base=answer.url, status=answer.status)
    return UploadSession(client, repository, descriptor, location, parse_integer(answer.headers.get("oci-chunk-min-length", "")) or 0)


def _post(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, query: str, mount_from: str) -> Answer:
    call = Call(
        client.operation("begin upload of blob", repository.with_digest(descriptor.digest)),
        "POST",
        f"/v2/{repository.path}/blobs/uploads/{query}",
        scopes=repository_scopes(repository, "pull,push", mount_from=mount_from),
        accept=frozenset({201, 202} if query else {202}),
    )
    return client.transport.request(call, retry_policy=client.retry_policy)


def _location(client: RegistryClient, operation: Operation, said: str, *, base: str, status: int) -> str:
    """Return where to put the blob, as *said* in an answer of the URL *base*: on the registry's own host, by our scheme, path and query byte for byte."""
    if not said or "#" in said or any(character.isspace() for character in said):
        raise operation.failed(UnexpectedResponseError, "the registry opened an upload session without saying where", status=status)
    own_url = client.transport.endpoint.url
    location = led_to(said, base=base, operation=operation)
    (_, host, _), _, target = parse_url(location)
    if has_credentials(location):
        raise operation.failed(InsecureError, "the registry wants the blob sent to an address with a login in it", hint="nothing was sent there")
    if host != origin_of(own_url)[1]:
        raise operation.failed(InsecureError, f"the registry wants the blob sent to another host, {host}", hint="nothing was sent there")
    # Behind a proxy that ends TLS, registries name themselves as http, or without the port; the host is the same.
    return f"{own_url}{target}"


class _Pieces:
    """An iterator of bytes from which exact lengths are taken, nothing gathered."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def take(self, size: int) -> Iterator[bytes]:
        """Yield *size* bytes, fewer where there are no more."""
        while size > 0:
            piece = self._rest or next(self._chunks, b"")
            if not piece:
                return
            self._rest = piece[size:]
            yield piece[:size]
            size -= min(size, len(piece))

    def finish(self) -> None:
        """Read to the end, so that whoever checks the bytes has the last word."""
        for _ in self._chunks:
            pass
