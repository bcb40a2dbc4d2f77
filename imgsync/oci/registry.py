"""
The registry API: one method per endpoint.

Spec: distribution-spec 1.1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from imgsync.errors import ContentMismatchError, NotFoundError, RejectedError, UnexpectedResponseError, UnsupportedContentError
from imgsync.oci.auth.challenge import Challenge, choose_challenge, parse_challenges
from imgsync.oci.auth.scopes import make_scopes
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.errors import Operation, make_status_error
from imgsync.oci.image_store import Resolved
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.link_header import find_next_page
from imgsync.oci.messages import DEFAULT_LIMIT_BYTES, NO_SUCH_RANGE, RegistryRequest, RegistryResponse, StreamedResponse
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.manifest import MANIFEST_LIMIT, Manifest, parse_manifest
from imgsync.oci.spec.media_types import ACCEPT, read_manifest_type
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.oci.transport import Transport

# Some registries refuse HEAD: google/go-containerregistry#1691.
_NO_HEAD = {400, 403, 405, 406, 501}
_CREATED = 201
_DELETED = frozenset({200, 202, 204})
_NO_TAG_DELETE = frozenset({400, 405, 501})
_NO_UPLOAD = "00000000-0000-4000-8000-000000000000"


class RegistryClient:
    """One registry as source or destination, with one caller's retry policy."""

    def __init__(self, transport: Transport, retry_policy: RetryPolicy) -> None:
        """Send requests by *transport*, which clients share."""
        self.transport = transport
        self.retry_policy = retry_policy

    def __repr__(self) -> str:
        """Return registry and side."""
        return f"<RegistryClient {self.registry} ({self.origin})>"

    @property
    def registry(self) -> str:
        """Return the registry's name."""
        return self.transport.endpoint.registry

    @property
    def origin(self) -> str:
        """Return "source" or "destination"."""
        return self.transport.endpoint.origin

    @property
    def capabilities(self) -> Capabilities:
        """Return what is known about the registry."""
        return self.transport.capabilities

    @property
    def read_actions(self) -> str:
        """Return the actions that a token for reading a repository must allow."""
        return "pull,push" if self.transport.endpoint.pushes else "pull"

    def with_check(self, check: Callable[[], None]) -> Self:
        """Return a client that gives up when *check* raises."""
        return type(self)(self.transport, self.retry_policy.with_check(check))

    def make_operation(self, name: str, subject: object) -> Operation:
        """Return the operation *name* on *subject*, for errors."""
        return Operation(name, subject, self.origin)

    def send(self, request: RegistryRequest) -> RegistryResponse:
        """Send *request* and return the response, as `Transport.request`."""
        return self.transport.request(request, retry_policy=self.retry_policy)

    def stream(self, request: RegistryRequest) -> contextlib.AbstractContextManager[StreamedResponse]:
        """Send *request* and give the response unread, as `Transport.stream`."""
        return self.transport.stream(request, retry_policy=self.retry_policy)

    def fetch_challenge(self) -> Challenge | None:
        """
        Return the registry's challenge, None if it has none.

        Raises:
            RegistryError: The registry is unreachable, or not a registry.

        Spec: "Determining Support" (end-1).
        """
        # Anonymous: the credentials are not checked here.
        request = RegistryRequest(self.make_operation("reach", self.registry), "GET", "/v2/", accept_statuses=frozenset({200, 401}), auth_headers={})
        response = self.send(request)
        return choose_challenge(parse_challenges([response.headers.get("www-authenticate", "")])) if response.status == 401 else None

    def resolve(self, reference: Reference) -> Resolved | None:
        """
        Return what *reference* names now, None if it does not exist.

        This takes one HEAD, and a GET if HEAD has no digest or a source responds with 404.

        Raises:
            RegistryError: The registry refuses or fails.

        Spec: "Checking if content exists in the registry" (end-3).
        """
        request = self._manifest_request("HEAD", reference, "resolve", accept_statuses={200, 404} | _NO_HEAD)
        response = self.send(request)
        if response.status == 404 and self.origin == "destination":
            # A source is asked by GET too: what it lists mostly exists, and some registries respond with 404 to HEAD only.
            return None
        # Old registries omit the digest on HEAD (registry.redhat.io: regclient/regclient#363).
        digest = response.headers.get("docker-content-digest", "")
        if response.status == 200 and is_digest(digest):
            return Resolved(digest, read_manifest_type(response.media_type or "") or None)
        try:
            manifest = self.pull_manifest(reference)
        except NotFoundError:
            return None
        return Resolved(manifest.digest, manifest.media_type, manifest)

    def pull_manifest(self, reference: Reference, *, described_as: str = "") -> Manifest:
        """
        Return the manifest, checked against its digests.

        *described_as* is its media type if neither the manifest nor the response names one.

        Raises:
            NotFoundError: The manifest does not exist.
            ContentMismatchError: The bytes have another digest.
            UnsupportedContentError: The manifest is larger than 4 MiB, ambiguous, or schema 1.

        Spec: "Pulling manifests" (end-3).
        """
        request = self._manifest_request("GET", reference, "pull manifest", accept_statuses={200}, limit=MANIFEST_LIMIT)
        response = self.send(request)
        header = response.headers.get("docker-content-digest", "")
        claimed = header if is_digest(header) else ""
        content_type = read_manifest_type(response.media_type or "") or described_as
        try:
            manifest = parse_manifest(response.body, content_type=content_type, algorithm=reference.digest or claimed or "sha256:")
        except UnsupportedContentError as error:
            # Reports name the tag at the source only.
            is_named = self.origin == "source" and not reference.digest and not is_referrers_tag(reference.name)
            message = error.message if is_named else f"pull manifest {reference} ({self.origin}): {error.message}"
            raise UnsupportedContentError(message, hint=error.hint) from error
        for expected in (reference.digest, claimed):
            if expected and not manifest.matches(expected):
                raise ContentMismatchError(f"pull manifest {reference}", expected=expected, actual=manifest.digest, origin=self.origin)
        return manifest

    def push_manifest(self, reference: Reference, manifest: Manifest) -> bool:
        """
        Push *manifest*; return whether the registry lists it as a referrer.

        Everything the manifest references must be in the repository already.

        Raises:
            RejectedError: Something that the manifest references is missing, or the tag is refused.
            ContentMismatchError: The registry reports another digest.
            UnexpectedResponseError: The response does not confirm the push, and the manifest is not served.

        Spec: "Pushing Manifests" (end-7).
        """
        operation, scopes = self.make_operation("push manifest", reference), make_scopes(reference.repository.path, "pull,push")
        target = f"/v2/{reference.repository.path}/manifests/{reference.name}"
        request = RegistryRequest(operation, "PUT", target, scopes, frozenset({200, 201, 202, 204}), {"Content-Type": manifest.content_type}, body=manifest.raw)
        try:
            response = self.send(request)
        except RejectedError as error:
            if not error.code.endswith("_UNKNOWN"):
                error.hint = error.hint or f"it was pushed as {manifest.content_type}; check which manifest types the registry accepts"
            raise
        stored = response.headers.get("docker-content-digest", "")
        if is_digest(stored) and not manifest.matches(stored):
            raise ContentMismatchError(f"push manifest {reference}", expected=manifest.digest, actual=stored, origin=self.origin)
        if response.status != _CREATED and not is_digest(stored) and not self._is_served(reference, manifest):
            raise request.operation.make_error(
                UnexpectedResponseError, "the response does not confirm the push, and the manifest is missing", status=response.status
            )
        return "oci-subject" in response.headers

    def _is_served(self, reference: Reference, manifest: Manifest) -> bool:
        found = self.resolve(reference)
        return found is not None and manifest.matches(found.digest)

    def open_blob(
        self, repository: Repository, blob: Descriptor, *, offset: int = 0, end: int | None = None
    ) -> contextlib.AbstractContextManager[StreamedResponse]:
        """
        Give the blob's bytes from *offset* to before *end*.

        The status is 206, or 200 with the whole blob if the registry ignores ranges, or 416.

        Raises:
            RegistryError: The registry refuses, or the connection breaks while chunks are read.

        Spec: "Pulling blobs" (end-2).
        """
        expected_bytes = (blob.size_bytes if end is None else end) - offset
        if not offset and end is None:
            return self.stream(self._blob_request("GET", repository, blob, "pull blob", expected_bytes=expected_bytes))
        headers = {"Range": f"bytes={offset}-{'' if end is None else end - 1}"}
        accept = {200, 206, NO_SUCH_RANGE}
        return self.stream(self._blob_request("GET", repository, blob, "pull blob", accept=accept, headers=headers, expected_bytes=expected_bytes))

    def read_blob(self, repository: Repository, blob: Descriptor, *, limit_bytes: int) -> bytes:
        """
        Return a small blob, such as a config, unchecked.

        Raises:
            RegistryError: The blob is larger than *limit_bytes*, or cannot be pulled.
        """
        return self.send(self._blob_request("GET", repository, blob, "pull blob", limit_bytes=limit_bytes)).body

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """
        Return whether the repository has the blob.

        Its length must be right too, if the registry reports it.

        Spec: "Checking if content exists in the registry" (end-2).
        """
        response = self.send(self._blob_request("HEAD", repository, blob, "check blob", accept={200, 404}))
        return response.status == 200 and response.headers.get("content-length", str(blob.size_bytes)) == str(blob.size_bytes)

    def check_push(self, repository: Repository) -> None:
        """
        Check that the credentials may push to *repository*, without a change.

        The request belongs to an upload that was never started.

        Raises:
            RegistryError: The credentials may not push, or the registry fails.

        Spec: "Pushing a blob in chunks" (end-5).
        """
        operation, scopes = self.make_operation("push to", repository), make_scopes(repository.path, "pull,push")
        target = f"/v2/{repository.path}/blobs/uploads/{_NO_UPLOAD}"
        headers = {"Content-Type": "application/octet-stream", "Content-Range": "0-0"}
        request = RegistryRequest(operation, "PATCH", target, scopes, frozenset({400, 404, 416}), headers, body=b"")
        response = self.send(request)
        error = make_status_error(request.operation, response.status, headers=response.headers, body=response.body)
        if error.code == "DENIED":
            raise error

    def delete_tag(self, reference: Reference) -> bool:
        """
        Delete the tag; return False if the registry cannot.

        Raises:
            NotFoundError: The tag does not exist, or the registry has no such endpoint.
            RegistryError: The account lacks permission, or the registry fails.

        Spec: "Deleting tags" (end-9).
        """
        return self._delete(reference, "delete the tag", accept_statuses=_DELETED | _NO_TAG_DELETE).status in _DELETED

    def delete_manifest(self, reference: Reference) -> None:
        """
        Delete a manifest by digest, and every tag that names it.

        Raises:
            NotFoundError: The manifest does not exist, or the registry has no such endpoint.
            RegistryError: The account lacks permission, or the registry fails.

        Spec: "Deleting manifests" (end-9).
        """
        self._delete(reference, "delete the manifest", accept_statuses=_DELETED)

    def _delete(self, reference: Reference, name: str, *, accept_statuses: frozenset[int]) -> RegistryResponse:
        target = f"/v2/{reference.repository.path}/manifests/{reference.name}"
        scopes = make_scopes(reference.repository.path, "pull,push,delete")
        return self.send(RegistryRequest(self.make_operation(name, reference), "DELETE", target, scopes, accept_statuses))

    def get_page(self, operation: Operation, target: str, *, scopes: Iterable[str], limit_bytes: int) -> tuple[bytes, str | None]:
        """
        Return one page of a listing, and the next page's URL.

        Raises:
            InsecureError: The next page is on another host.

        Spec: "Listing Tags" (end-8b).
        """
        request = RegistryRequest(operation, "GET", target, scopes=tuple(scopes), limit_bytes=limit_bytes, headers={"Accept": "application/json"})
        response = self.send(request)
        return response.body, find_next_page(response, operation, self.transport.endpoint)

    def _blob_request(
        self,
        method: str,
        repository: Repository,
        blob: Descriptor,
        name: str,
        *,
        accept: Iterable[int] = (200,),
        headers: Mapping[str, str] | None = None,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        expected_bytes: int = 0,
    ) -> RegistryRequest:
        subject, origin = repository.with_digest(blob.digest), self.origin
        # The manifest that names it was there, so the name is right.
        hint = f"the image is incomplete at the {origin}: its manifest names this blob, but the registry does not have it; push the image there again"
        operation = Operation(name, subject, origin, hint_if_missing=hint)
        target, scopes = f"/v2/{repository.path}/blobs/{blob.digest}", make_scopes(repository.path, "pull")
        return RegistryRequest(operation, method, target, scopes, frozenset(accept), headers or {}, limit_bytes=limit_bytes, expected_bytes=expected_bytes)

    def _manifest_request(self, method: str, reference: Reference, name: str, *, accept_statuses: set[int], limit: int = 0) -> RegistryRequest:
        return RegistryRequest(
            self.make_operation(name, reference),
            method,
            f"/v2/{reference.repository.path}/manifests/{reference.name}",
            scopes=make_scopes(reference.repository.path, self.read_actions),
            accept_statuses=frozenset(accept_statuses),
            headers={"Accept": ACCEPT},
            limit_bytes=limit or DEFAULT_LIMIT_BYTES,
            counts_as_pull=method == "GET",
        )
