"""
The registry's API: one method, one endpoint. Knows repositories, manifests and blobs; never asks why.

Spec: distribution-spec 1.1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from imgsync.errors import ContentMismatchError, NotFoundError, UnexpectedResponseError
from imgsync.oci.auth.challenge import Challenge, parse_challenges
from imgsync.oci.capabilities import Capabilities
from imgsync.oci.errors import Operation, error_of
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.link_header import next_page
from imgsync.oci.messages import Answer, Call, StreamedAnswer
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.manifest import ACCEPT, MANIFEST_LIMIT, OCI_INDEX, Descriptor, Manifest, parse_manifest
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.oci.transport import Transport

NO_SUCH_RANGE = 416
_NO_HEAD = {400, 403, 405, 406, 501}
# All of these have been seen from registries without the referrers API; the first few may concern one repository alone.
_MAYBE_NO_REFERRERS = {401, 403}
_NO_REFERRERS = {303, 400, 404, 405, 406, 410, 501}
_REFERRERS_LIMIT = 1000
_CREATED = 201
_DELETED = frozenset({200, 202, 204})
_NO_TAG_DELETE = frozenset({400, 405, 501})
_NO_UPLOAD = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a tag or digest names at this moment: its digest, its media type where the registry said it, the manifest where it took that to know."""

    digest: str
    media_type: str | None = None
    manifest: Manifest | None = None


class RegistryClient:
    """One registry from one side, with one caller's retry policy. Cheap: clients share their transport."""

    def __init__(self, transport: Transport, retry_policy: RetryPolicy) -> None:
        """Speak through *transport*."""
        self.transport = transport
        self.retry_policy = retry_policy

    def __repr__(self) -> str:
        """Say which registry and side."""
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
    def looking(self) -> str:
        """Return the actions of the token that is asked for to look at a repository, as a scope has them."""
        return "pull,push" if self.transport.endpoint.pushes else "pull"

    def under(self, check: Callable[[], None]) -> RegistryClient:
        """Return a client that gives up when *check* raises."""
        return RegistryClient(self.transport, self.retry_policy.with_check(check))

    def operation(self, name: str, subject: object) -> Operation:
        """Return the subject of errors about *name* on *subject*."""
        return Operation(name, str(subject), self.origin)

    def asked_challenge(self) -> Challenge | None:
        """
        Return how the registry asks who we are, None where it lets anybody in. One request.

        Raises:
            RegistryError: It cannot be reached, or does not speak the protocol.

        Spec: "Determining Support" (end-1).
        """
        # As nobody: whether our login is good is not the question.
        call = Call(self.operation("reach", self.registry), "GET", "/v2/", accept=frozenset({200, 401}), secrets={})
        answer = self.transport.request(call, retry_policy=self.retry_policy)
        challenges = parse_challenges([answer.headers.get("www-authenticate", "")]) if answer.status == 401 else ()
        return next((one for one in challenges if one.scheme == "bearer"), next(iter(challenges), None))

    def resolve(self, reference: Reference) -> Resolved | None:
        """
        Return what *reference* names now, None when there is no such thing. One HEAD; a GET where HEAD says too little, or that a source has nothing.

        Raises:
            RegistryError: Anything but an answer to the question.

        Spec: "Checking if content exists in the registry" (end-3).
        """
        call = self._manifest_call("HEAD", reference, "resolve", accept={200, 404} | _NO_HEAD)
        answer = self.transport.request(call, retry_policy=self.retry_policy)
        if answer.status == 404 and self.origin == "destination":
            # What a source lists is mostly there, and some say 404 to HEAD alone.
            return None
        digest = answer.headers.get("docker-content-digest", "")
        if answer.status == 200 and is_digest(digest):
            return Resolved(digest, _media_type(answer))
        try:
            manifest = self.pull_manifest(reference)
        except NotFoundError:
            return None
        return Resolved(manifest.digest, manifest.media_type, manifest)

    def pull_manifest(self, reference: Reference) -> Manifest:
        """
        Return the manifest, its bytes checked against the digest asked for and the one the registry claims.

        Raises:
            NotFoundError: There is none.
            ContentMismatchError: The bytes have another digest.
            UnsupportedContentError: It is over 4 MiB, ambiguous, or schema 1.

        Spec: "Pulling manifests" (end-3).
        """
        call = self._manifest_call("GET", reference, "pull manifest", accept={200}, limit=MANIFEST_LIMIT)
        answer = self.transport.request(call, retry_policy=self.retry_policy)
        said = answer.headers.get("docker-content-digest", "")
        claimed = said if is_digest(said) else ""
        manifest = parse_manifest(answer.body, content_type=_media_type(answer) or "", algorithm=reference.digest or claimed or "sha256:")
        for expected in (reference.digest, claimed):
            if expected and expected.partition(":")[0] == manifest.digest.partition(":")[0] and expected != manifest.digest:
                raise ContentMismatchError(f"pull manifest {reference}", expected=expected, actual=manifest.digest, origin=self.origin)
        return manifest

    def list_referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
        """
        Return what refers to *digest*, None where the registry has no referrers API; it is then not asked again.

        Raises:
            RegistryError: Any other failure, or over 1000 referrers.

        Spec: "Listing Referrers" (end-12a).
        """
        with self.capabilities.probe_referrers():
            return self._listed_referrers(repository, digest)

    def _listed_referrers(self, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
        if self.capabilities.has_referrers is False:
            return None
        operation = self.operation("list referrers of", repository.with_digest(digest))
        found: list[Descriptor] = []
        target: str | None = f"/v2/{repository.path}/referrers/{digest}"
        while target is not None:
            accept = {200} | _NO_REFERRERS | _MAYBE_NO_REFERRERS if not found else {200}
            call = Call(operation, "GET", target, _scopes(repository, "pull"), frozenset(accept), {"Accept": OCI_INDEX}, limit_bytes=MANIFEST_LIMIT)
            answer = self.transport.request(call, retry_policy=self.retry_policy)
            if answer.status != 200 or _media_type(answer) != OCI_INDEX:
                if self.capabilities.has_referrers is None and answer.status not in _MAYBE_NO_REFERRERS:
                    self.capabilities.learn_referrers(supported=False)
                return None
            self.capabilities.learn_referrers(supported=True)
            found += parse_manifest(answer.body, content_type=OCI_INDEX).children
            target = next_page(answer, operation)
            if len(found) > _REFERRERS_LIMIT or (target is not None and not found):
                raise operation.failed(UnexpectedResponseError, f"the list of referrers is longer than {_REFERRERS_LIMIT}, or never ends")
        return tuple(found)

    def push_manifest(self, reference: Reference, manifest: Manifest) -> bool:
        """
        Push *manifest* byte for byte; everything it references must be in the repository already.

        Return whether the registry will name it among the referrers of its subject by itself.

        Raises:
            RejectedError: The registry misses something it references, or refuses the tag.
            ContentMismatchError: The registry says it stored another digest.
            UnexpectedResponseError: It says something else than that it stored the manifest, and does not serve it.

        Spec: "Pushing Manifests" (end-7).
        """
        call = Call(
            self.operation("push manifest", reference),
            "PUT",
            f"/v2/{reference.repository.path}/manifests/{reference.name}",
            scopes=_scopes(reference.repository, "pull,push"),
            accept=frozenset({200, 201, 202, 204}),
            headers={"Content-Type": manifest.media_type},
            body=manifest.raw,
        )
        answer = self.transport.request(call, retry_policy=self.retry_policy)
        stored = answer.headers.get("docker-content-digest", "")
        if is_digest(stored) and stored.partition(":")[0] == manifest.digest.partition(":")[0] and stored != manifest.digest:
            raise ContentMismatchError(f"push manifest {reference}", expected=manifest.digest, actual=stored, origin=self.origin)
        if answer.status != _CREATED and not is_digest(stored) and not self._serves(reference, manifest):
            raise call.operation.failed(UnexpectedResponseError, "the answer is no registry's, and the manifest is not there", status=answer.status)
        return "oci-subject" in answer.headers

    def _serves(self, reference: Reference, manifest: Manifest) -> bool:
        found = self.resolve(reference)
        return found is not None and found.digest == manifest.digest

    @contextlib.contextmanager
    def open_blob(self, repository: Repository, descriptor: Descriptor, *, offset: int = 0, end: int | None = None) -> Iterator[StreamedAnswer]:
        """
        Give the blob's bytes from *offset* on, to before *end* if given: status 206, or 200 with all of them where ranges are not known, or 416.

        Raises:
            RegistryError: Also out of the chunks, when the connection breaks.

        Spec: "Pulling blobs" (end-2).
        """
        part = bool(offset) or end is not None
        call = Call(
            self.operation("pull blob", repository.with_digest(descriptor.digest)),
            "GET",
            f"/v2/{repository.path}/blobs/{descriptor.digest}",
            scopes=_scopes(repository, "pull"),
            accept=frozenset({200, 206, NO_SUCH_RANGE} if part else {200}),
            headers={"Range": f"bytes={offset}-{'' if end is None else end - 1}"} if part else {},
        )
        with self.transport.stream(call, retry_policy=self.retry_policy) as answer:
            yield answer

    def read_blob(self, repository: Repository, descriptor: Descriptor, *, limit_bytes: int) -> bytes:
        """
        Return a small blob whole, such as a config; its digest is not checked here.

        Raises:
            RegistryError: It is larger than *limit_bytes*, or not to be had.
        """
        call = Call(
            self.operation("pull blob", repository.with_digest(descriptor.digest)),
            "GET",
            f"/v2/{repository.path}/blobs/{descriptor.digest}",
            scopes=_scopes(repository, "pull"),
            limit_bytes=limit_bytes,
        )
        return self.transport.request(call, retry_policy=self.retry_policy).body

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """
        Return whether the repository serves the blob, by its digest and, where the registry says it, its length.

        Spec: "Checking if content exists in the registry" (end-2).
        """
        call = Call(
            self.operation("check blob", repository.with_digest(blob.digest)),
            "HEAD",
            f"/v2/{repository.path}/blobs/{blob.digest}",
            scopes=_scopes(repository, "pull"),
            accept=frozenset({200, 404}),
        )
        answer = self.transport.request(call, retry_policy=self.retry_policy)
        return answer.status == 200 and answer.headers.get("content-length", str(blob.size_bytes)) == str(blob.size_bytes)

    def check_push(self, repository: Repository) -> None:
        """
        Return if we may push to *repository*. Changes nothing: what is sent belongs to an upload that was never begun.

        Raises:
            RegistryError: We may not, or the registry cannot be asked.

        Spec: "Pushing a blob in chunks" (end-5).
        """
        call = Call(
            self.operation("push to", repository),
            "PATCH",
            f"/v2/{repository.path}/blobs/uploads/{_NO_UPLOAD}",
            scopes=_scopes(repository, "pull,push"),
            accept=frozenset({400, 404, 416}),
            headers={"Content-Type": "application/octet-stream", "Content-Range": "0-0"},
            body=b"",
        )
        answer = self.transport.request(call, retry_policy=self.retry_policy)
        error = error_of(call.operation, answer.status, headers=answer.headers, body=answer.body)
        if error.code == "DENIED":
            raise error

    def delete_tag(self, reference: Reference) -> bool:
        """
        Take the tag away and leave what it names; return False where the registry deletes by digest alone, or not at all.

        Raises:
            NotFoundError: There is no such tag, or the registry knows no such request.
            RegistryError: The account may not, or the registry fails.

        Spec: "Deleting tags" (end-9).
        """
        return self._delete(reference, "delete the tag", accept=_DELETED | _NO_TAG_DELETE).status in _DELETED

    def delete_manifest(self, reference: Reference) -> None:
        """
        Delete the manifest that *reference* names by digest, and with it every tag that names it.

        Raises:
            NotFoundError: There is no such manifest, or the registry knows no such request.
            RegistryError: The registry deletes nothing, or not for this account.

        Spec: "Deleting manifests" (end-9).
        """
        self._delete(reference, "delete the manifest", accept=_DELETED)

    def _delete(self, reference: Reference, name: str, *, accept: frozenset[int]) -> Answer:
        path = f"/v2/{reference.repository.path}/manifests/{reference.name}"
        call = Call(self.operation(name, reference), "DELETE", path, scopes=_scopes(reference.repository, "pull,push,delete"), accept=accept)
        return self.transport.request(call, retry_policy=self.retry_policy)

    def get_page(self, operation: Operation, target: str, *, scopes: Iterable[str], limit_bytes: int) -> tuple[bytes, str | None]:
        """
        Return one page of a listing and the URL of the next, None after the last.

        Raises:
            InsecureError: The next page is said to be on another host.

        Spec: "Listing Tags" (end-8b).
        """
        call = Call(operation, "GET", target, scopes=tuple(scopes), limit_bytes=limit_bytes, headers={"Accept": "application/json"})
        answer = self.transport.request(call, retry_policy=self.retry_policy)
        return answer.body, next_page(answer, operation)

    def _manifest_call(self, method: str, reference: Reference, name: str, *, accept: set[int], limit: int = 0) -> Call:
        return Call(
            self.operation(name, reference),
            method,
            f"/v2/{reference.repository.path}/manifests/{reference.name}",
            scopes=repository_scopes(reference.repository, self.looking),
            accept=frozenset(accept),
            headers={"Accept": ACCEPT},
            limit_bytes=limit or 64 << 10,
            pulls=method == "GET",
        )


def repository_scopes(repository: Repository, actions: str, *, mount_from: str = "") -> tuple[str, ...]:
    """Return the token scopes for *actions* on *repository*, and for pulling from the one mounted from."""
    return (*_scopes(repository, actions), *((f"repository:{mount_from}:pull",) if mount_from and mount_from != repository.path else ()))


def _scopes(repository: Repository, actions: str) -> tuple[str, ...]:
    return (f"repository:{repository.path}:{actions}",)


def _media_type(answer: Answer) -> str | None:
    return answer.headers.get("content-type", "").partition(";")[0].strip() or None
