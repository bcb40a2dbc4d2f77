"""
One blob into one repository: mount or begin, put, cancel.

Spec: distribution-spec 1.1 "Pushing Blobs": end-4a, end-6, end-11.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from imgsync.errors import InsecureError, RateLimitedError, RegistryError, UnexpectedResponseError, UnreachableError
from imgsync.oci.manifest import Descriptor
from imgsync.oci.reference import Repository
from imgsync.oci.registry import RegistryClient, repository_scopes
from imgsync.oci.transport import Answer, Call


@dataclass(frozen=True, slots=True)
class UploadSession:
    """A place to put one blob, as the registry named it."""

    client: RegistryClient
    repository: Repository
    descriptor: Descriptor
    location: str

    def put(self, chunks: Iterable[bytes]) -> None:
        """
        Send the blob in one streamed PUT, `Content-Length` given. One try: chunks cannot be rewound.

        Raises:
            RegistryError: The registry refuses, or the connection breaks; whatever the chunks raise goes through.
        """
        # Appended as text: re-encoding the query would spoil the registry's own `_state`.
        url = f"{self.location}{'&' if '?' in self.location else '?'}digest={quote(self.descriptor.digest, safe='')}"
        call = Call(
            self.client.operation("push blob", self.repository.at(self.descriptor.digest)),
            "PUT",
            url,
            scopes=repository_scopes(self.repository, "pull,push"),
            accept=frozenset({201, 204}),
            headers={"Content-Type": "application/octet-stream"},
            body=chunks if self.descriptor.size_bytes else None,
            length_bytes=self.descriptor.size_bytes,
        )
        with self.client.transport.stream(call, patience=self.client.patience):
            return

    def cancel(self) -> None:
        """Tell the registry to forget the session; it would do so by itself in time, so no failure matters."""
        call = Call(
            self.client.operation("cancel upload", self.repository.at(self.descriptor.digest)),
            "DELETE",
            self.location,
            scopes=repository_scopes(self.repository, "pull,push"),
            accept=frozenset(range(200, 600)),
        )
        with contextlib.suppress(RegistryError), self.client.transport.stream(call, patience=self.client.patience):
            return


def begin_upload(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, mount_from: str) -> UploadSession | None:
    """
    Return a session for the blob, None when the registry has mounted it from the repository path *mount_from*.

    A registry that refuses the mount itself is asked for a plain session.

    Raises:
        RegistryError: No session is to be had.
    """
    query = f"?mount={quote(descriptor.digest, safe=':')}&from={quote(mount_from, safe='/')}"
    try:
        answer = _post(client, repository, descriptor, query=query, mount_from=mount_from)
    except (UnreachableError, RateLimitedError):
        raise
    except RegistryError:
        answer = _post(client, repository, descriptor, query="", mount_from="")
    if answer.status == 201 and "mount=" in query:
        return None
    return UploadSession(client, repository, descriptor, _location(client, repository, descriptor, answer))


def _post(client: RegistryClient, repository: Repository, descriptor: Descriptor, *, query: str, mount_from: str) -> Answer:
    call = Call(
        client.operation("begin upload of blob", repository.at(descriptor.digest)),
        "POST",
        f"/v2/{repository.path}/blobs/uploads/{query}",
        scopes=repository_scopes(repository, "pull,push", mount_from=mount_from),
        accept=frozenset({201, 202} if query else {202}),
    )
    return client.transport.request(call, patience=client.patience)


def _location(client: RegistryClient, repository: Repository, descriptor: Descriptor, answer: Answer) -> str:
    """Return where to put the blob: on the registry's own host, by our scheme, path and query byte for byte."""
    operation = client.operation("begin upload of blob", repository.at(descriptor.digest))
    said = answer.headers.get("location", "")
    if not said or "#" in said or any(character.isspace() for character in said):
        raise operation.failed(UnexpectedResponseError, "the registry opened an upload session without saying where", status=answer.status)
    base = client.transport.endpoint.url
    location = urljoin(answer.url, said)
    parts, own = urlsplit(location), urlsplit(base)
    if (parts.hostname or "").lower() != (own.hostname or "").lower() or parts.username:
        raise operation.failed(InsecureError, f"the registry wants the blob sent to another host, {parts.hostname}", hint="nothing was sent there")
    # Behind a proxy that ends TLS, registries name themselves as http, or without the port; the host is the same.
    return f"{base}{location[location.index('/', location.index('//') + 2) :]}"
