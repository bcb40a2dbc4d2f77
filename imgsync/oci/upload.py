"""
Upload one blob: mount it, or send it whole or in chunks.

Spec: distribution-spec 1.1 "Pushing Blobs": end-4a, end-5, end-6, end-11.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from imgsync.errors import (
    InsecureError,
    QuotaExceededError,
    RateLimitedError,
    RegistryError,
    RejectedError,
    TooLargeError,
    UnexpectedResponseError,
    UnreachableError,
)
from imgsync.oci.auth.scopes import make_scopes
from imgsync.oci.errors import Operation
from imgsync.oci.http.url import has_credentials, is_sendable, origin_of, parse_url
from imgsync.oci.messages import RegistryRequest, RegistryResponse, StreamedResponse
from imgsync.oci.registry import RegistryClient
from imgsync.oci.responses import resolve_url
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.reference import Repository
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_integer

# Body sizes to try in order after a registry, or a proxy in front of it, refuses a larger body (413).
_CHUNK_SIZES = (64 << 20, 16 << 20, 4 << 20, 1 << 20)
# From this size on, waiting for "100 Continue" costs little compared with the body.
_EXPECT_CONTINUE_BYTES = 32 << 20
# Stands for a mount that was never sent, because the token for both repositories was refused.
_NO_TOKEN = 401
_CLOSED = frozenset({201, 204})
_TAKEN = frozenset({202, 204})
_BEGUN = frozenset({202})
_BEGUN_OR_MOUNTED = frozenset({201, 202})
_NO_HEADERS: Mapping[str, str] = {}


@dataclass(slots=True)
class UploadSession:
    """
    An upload of one blob; chunks but the last have `min_chunk_bytes`.

    `mount_status` is the HTTP status of a refused mount, 0 if none was tried.
    """

    client: RegistryClient
    repository: Repository
    descriptor: Descriptor
    location: str
    min_chunk_bytes: int = 0
    mount_status: int = 0

    def put(self, chunks: Iterable[Chunk]) -> None:
        """
        Send the blob in one PUT, or in chunks above the limit.

        There is only one try, because chunks cannot be rewound. After a `TooLargeError` the next session sends smaller bodies.

        Raises:
            RegistryError: The registry refuses, or the connection breaks. Errors of *chunks* pass through.
        """
        # One PUT by default: ECR drops all chunks but the first (aws/containers-roadmap#2831), Artifact Registry has no chunked uploads.
        limit = self.client.capabilities.body_limit_bytes
        size = self.descriptor.size_bytes
        try:
            if limit is None or size <= limit:
                self._send("PUT", self._make_closing_url(), chunks if size else None, size, accept_statuses=_CLOSED)
            else:
                self._put_in_chunks(chunks, max(limit, self.min_chunk_bytes))
        except RejectedError as error:
            self._learn_body_limit(error, size if limit is None else min(limit, size))
            raise

    def _put_in_chunks(self, chunks: Iterable[Chunk], chunk_bytes: int) -> None:
        """Send several streamed PATCHes, check what the registry received, and close."""
        pieces = _Pieces(chunks)
        sent, size = 0, self.descriptor.size_bytes
        while sent < size:
            length = min(chunk_bytes, size - sent)
            headers = {"Content-Range": f"{sent}-{sent + length - 1}"}
            response = self._send("PATCH", self.location, pieces.take(length), length, accept_statuses=_TAKEN, headers=headers)
            sent += length
            self._check_range(response, sent)
            self.location = _resolve_location(self.client, self._operation, response.headers.get("location", ""), base=self.location, status=response.status)
        pieces.finish()
        self._send("PUT", self._make_closing_url(), None, 0, accept_statuses=_CLOSED)

    def _check_range(self, response: StreamedResponse, sent: int) -> None:
        """Check that the registry reports *sent* bytes."""
        last = parse_integer(response.headers.get("range", "").rpartition("-")[2])
        if last is None or last == sent - 1:
            return
        # "0-0" means one byte, or none at all.
        detail = f"the registry reports {last + 1} bytes after {sent} were sent"
        declared = self.client.transport.endpoint.chunk_bytes is not None
        hint = f"it does not support chunked uploads{'; remove chunk_size from registries.yaml' if declared else ''}"
        raise self._operation.make_error(UnexpectedResponseError, detail, status=response.status, hint=hint)

    def _make_closing_url(self) -> str:
        # Appended as text, because encoding the query again would change the registry's `_state`.
        # A digest contains no other character to escape than its colon.
        return f"{self.location}{'&' if '?' in self.location else '?'}digest={self.descriptor.digest.replace(':', '%3A')}"

    @property
    def _operation(self) -> Operation:
        return self.client.make_operation("push blob", self.repository.with_digest(self.descriptor.digest))

    def _send(
        self, method: str, url: str, body: Iterable[Chunk] | None, length: int, *, accept_statuses: frozenset[int], headers: Mapping[str, str] = _NO_HEADERS
    ) -> StreamedResponse:
        request = RegistryRequest(
            self._operation,
            method,
            url,
            scopes=make_scopes(self.repository.path, "pull,push"),
            accept_statuses=accept_statuses,
            headers={"Content-Type": "application/octet-stream", **headers},
            body=body,
            length_bytes=length,
            expect_continue=body is not None and (method == "PATCH" or length >= _EXPECT_CONTINUE_BYTES),
            closes_upload=method == "PUT",
        )
        with self.client.stream(request) as response:
            return response

    def _learn_body_limit(self, error: RejectedError, sent: int) -> None:
        """
        Note a smaller limit if *error* refuses a body of *sent* bytes.

        Raises:
            TooLargeError: It does, and there is a smaller limit.
        """
        smaller = next((size for size in _CHUNK_SIZES if size < sent), None)
        if error.status == 413 and smaller is not None and not isinstance(error, QuotaExceededError):
            self.client.capabilities.learn_body_limit(smaller)
            raise self._operation.make_error(TooLargeError, error.detail, status=413, code=error.code) from error

    def cancel(self) -> None:
        """Cancel the session and ignore failures: it expires anyway."""
        request = RegistryRequest(
            self.client.make_operation("cancel upload", self.repository.with_digest(self.descriptor.digest)),
            "DELETE",
            self.location,
            scopes=make_scopes(self.repository.path, "pull,push"),
            accept_statuses=frozenset(range(200, 600)),
        )
        with contextlib.suppress(RegistryError), self.client.stream(request):
            return


def begin_upload(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, mount_from: str) -> UploadSession | None:
    """
    Start an upload, or return None if the blob was mounted.

    Args:
        client: The destination.
        repository: Where to push.
        descriptor: The blob.
        mount_from: The path of a repository with the blob, "" for none.

    Raises:
        RegistryError: The registry starts no upload.
    """
    refused = 0
    if mount_from:
        try:
            return _try_mount(client, repository, descriptor, mount_from)
        except (RateLimitedError, InsecureError):
            raise
        except RegistryError as error:
            # The mount alone may fail, even with 5xx: google/go-containerregistry#1404. Without a status, the registry is unreachable.
            if isinstance(error, UnreachableError) and error.status is None:
                raise
            refused = error.status or _NO_TOKEN
    return _open_session(client, repository, descriptor, mount_status=refused)


def _try_mount(client: RegistryClient, repository: Repository, descriptor: Descriptor, mount_from: str) -> UploadSession | None:
    """Return the upload that began instead, None once mounted."""
    query = f"?mount={quote(descriptor.digest, safe=':')}&from={quote(mount_from, safe='/')}"
    scopes = make_scopes(repository.path, "pull,push", mount_from=mount_from)
    request = _make_opening(client, repository, descriptor, query, scopes, _BEGUN_OR_MOUNTED)
    response = client.send(request)
    return None if response.status == 201 else _make_session(client, repository, descriptor, request.operation, response, mount_status=response.status)


def _open_session(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, mount_status: int) -> UploadSession:
    """Begin an upload; *mount_status* is that of a refused mount."""
    request = _make_opening(client, repository, descriptor, "", make_scopes(repository.path, "pull,push"), _BEGUN)
    return _make_session(client, repository, descriptor, request.operation, client.send(request), mount_status=mount_status)


def _make_opening(
    client: RegistryClient, repository: Repository, descriptor: Descriptor, query: str, scopes: tuple[str, ...], accept_statuses: frozenset[int]
) -> RegistryRequest:
    operation = client.make_operation("begin upload of blob", repository.with_digest(descriptor.digest))
    return RegistryRequest(operation, "POST", f"/v2/{repository.path}/blobs/uploads/{query}", scopes, accept_statuses)


def _make_session(
    client: RegistryClient, repository: Repository, descriptor: Descriptor, operation: Operation, response: RegistryResponse, *, mount_status: int
) -> UploadSession:
    location = _resolve_location(client, operation, response.headers.get("location", ""), base=response.url, status=response.status)
    min_chunk_bytes = parse_integer(response.headers.get("oci-chunk-min-length", "")) or 0
    return UploadSession(client, repository, descriptor, location, min_chunk_bytes, mount_status)


def _resolve_location(client: RegistryClient, operation: Operation, header: str, *, base: str, status: int) -> str:
    """
    Return an upload's URL on the registry's own host.

    Path and query stay as sent.
    """
    endpoint = client.transport.endpoint
    own_url = endpoint.url
    if header.startswith(f"{own_url}/") and "#" not in header and is_sendable(header):
        # Nearly every one is the registry's own, which needs no parsing.
        return header
    if not header or "#" in header or any(character.isspace() for character in header):
        raise operation.make_error(UnexpectedResponseError, "the registry started an upload without a valid Location", status=status)
    location = resolve_url(header, base=base, operation=operation)
    (scheme, host, _), netloc, target = parse_url(location)
    if has_credentials(location):
        raise operation.make_error(InsecureError, "the upload's Location contains credentials", hint=InsecureError.remedy)
    if host != origin_of(own_url)[1]:
        # As for our own host, TLS may end at a proxy that the registry does not know.
        alias = location if endpoint.plain_http or scheme == "https" else f"https://{netloc}{target}"
        if endpoint.is_own(alias):
            return alias
        raise operation.make_error(InsecureError, f"the upload's Location is on another host, {host}", hint=endpoint.explain_other_host(location))
    # Behind a proxy that terminates TLS, registries send http URLs, or omit the port. The host must match, the rest is ours.
    return f"{own_url}{target}"


class _Pieces:
    """Splits chunks into exact lengths without collecting them."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = iter(chunks)
        self._rest: Chunk = b""

    def take(self, size: int) -> Iterator[Chunk]:
        """Yield the next *size* bytes, fewer at the end."""
        while size > 0:
            piece = self._rest or next(self._chunks, b"")
            if not piece:
                return
            self._rest = piece[size:]
            yield piece[:size]
            size -= min(size, len(piece))

    def finish(self) -> None:
        """Read to the end, where the digest is checked."""
        for _ in self._chunks:
            pass
