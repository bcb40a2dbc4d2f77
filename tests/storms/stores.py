"""Registries whose storage a storm can read and change directly."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from tests.support.images import OCI, Image, digest_of, push, to_json
from tests.support.listener import Listener
from tests.support.registry_process import RegistryProcess
from tests.support.wire import Answer, Connection, PeerGoneError, Request, plain_answer

_DIGEST = r"(?P<digest>sha256:[0-9a-f]{64})"
_NAME = r"/v2/(?P<name>.+)"


class Store(Protocol):
    """A registry's content, read and changed without requests, atomically."""

    @property
    def host(self) -> str:
        """Return HOST:PORT."""

    def hold(self, repository: str, image: Image) -> None:
        """Have all that *image* consists of in *repository*, without a tag."""

    def tag(self, repository: str, tag: str, digest: str) -> None:
        """Let *tag* name a manifest that is held."""

    def untag(self, repository: str, tag: str) -> None:
        """Forget *tag*; what it named stays."""

    def tags(self, repository: str) -> Mapping[str, str]:
        """Return the digest that each tag names, those alone that are served."""

    def manifest(self, repository: str, digest: str) -> bytes | None:
        """Return the bytes that are served for a manifest, None for none."""

    def blob(self, repository: str, digest: str) -> bytes | None:
        """Return the bytes that are served for a blob, None for none."""


class DiskStore:
    """docker-registry by its files; it refuses incomplete manifests."""

    def __init__(self, registry: RegistryProcess) -> None:
        """Look at the files of *registry*."""
        self._registry = registry
        self.host = registry.host

    def hold(self, repository: str, image: Image) -> None:
        """Push it, by digest."""
        push(self._registry, repository, "", image)

    def tag(self, repository: str, tag: str, digest: str) -> None:
        """Write the files that a push of the tag would write."""
        folder = self._manifests(repository) / "tags" / tag
        for link in (folder / "current" / "link", folder / "index" / "sha256" / digest.removeprefix("sha256:") / "link"):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.write_text(digest)

    def untag(self, repository: str, tag: str) -> None:
        """Remove its files."""
        shutil.rmtree(self._manifests(repository) / "tags" / tag, ignore_errors=True)

    def tags(self, repository: str) -> Mapping[str, str]:
        """Read the files of every tag."""
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for folder in (self._manifests(repository) / "tags").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    found[folder.name] = _linked(folder / "current" / "link")
        return {tag: digest for tag, digest in found.items() if self.manifest(repository, digest) is not None}

    def manifest(self, repository: str, digest: str) -> bytes | None:
        """Read the manifest if the repository links it."""
        return self._content(self._manifests(repository) / "revisions", digest)

    def blob(self, repository: str, digest: str) -> bytes | None:
        """Read the blob if the repository links it."""
        return self._content(self._registry.storage / "repositories" / repository / "_layers", digest)

    def _manifests(self, repository: str) -> Path:
        return self._registry.storage / "repositories" / repository / "_manifests"

    def _content(self, links: Path, digest: str) -> bytes | None:
        number = digest.removeprefix("sha256:")
        try:
            link = _linked(links / "sha256" / number / "link")
            return (self._registry.storage / "blobs" / "sha256" / number[:2] / number / "data").read_bytes() if link == digest else None
        except FileNotFoundError:
            return None


@dataclass(slots=True)
class _Repository:
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class GullibleRegistry(Listener):
    """
    A registry in memory that accepts any digest and any manifest.

    So only the client keeps wrong bytes and incomplete images out of it.
    """

    def __init__(self, *, deletes_tags: bool = True, has_referrers: bool = True) -> None:
        """Listen at once; connections are answered when the block is entered."""
        super().__init__()
        self.deletes_tags = deletes_tags
        self.has_referrers = has_referrers
        self._repositories: dict[str, _Repository] = {}
        self._uploads: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._routes = [
            (re.compile(pattern), handle)
            for pattern, handle in (
                (rf"{_NAME}/blobs/uploads/", self._begin),
                (rf"{_NAME}/blobs/uploads/(?P<session>[^/]+)", self._upload),
                (rf"{_NAME}/blobs/{_DIGEST}", self._blob),
                (rf"{_NAME}/manifests/(?P<reference>[^/]+)", self._manifest),
                (rf"{_NAME}/referrers/{_DIGEST}", self._referrers),
                (rf"{_NAME}/tags/list", self._tags),
            )
        ]

    def hold(self, repository: str, image: Image) -> None:
        """Have it."""
        with self._lock:
            held = self._repositories.setdefault(repository, _Repository())
            held.blobs.update(image.all_blobs)
            held.manifests.update({part.digest: (part.media_type, part.raw) for part in image.parts})

    def tag(self, repository: str, tag: str, digest: str) -> None:
        """Let *tag* name a manifest that is held."""
        with self._lock:
            self._repositories[repository].tags[tag] = digest

    def untag(self, repository: str, tag: str) -> None:
        """Forget *tag*."""
        with self._lock:
            self._repositories[repository].tags.pop(tag, None)

    def tags(self, repository: str) -> Mapping[str, str]:
        """Return what each tag names."""
        with self._lock:
            return dict(self._repositories.get(repository, _Repository()).tags)

    def manifest(self, repository: str, digest: str) -> bytes | None:
        """Return a manifest's bytes."""
        return self._repositories.get(repository, _Repository()).manifests.get(digest, ("", None))[1]

    def blob(self, repository: str, digest: str) -> bytes | None:
        """Return a blob's bytes."""
        return self._repositories.get(repository, _Repository()).blobs.get(digest)

    def _serve(self, sock: socket.socket) -> None:
        connection = Connection(sock)
        with contextlib.suppress(PeerGoneError, OSError):
            while (request := connection.read_request()) is not None:
                # All of it, or nothing is taken in.
                body = b"".join(connection.body_of(request))
                with self._lock:
                    answer = self._answer(request, body)
                connection.send_answer(answer, head_only=request.method == "HEAD", on_bytes=lambda _: None, on_end=lambda: None)
                if (request.header("connection") or "").lower() == "close":
                    break
        connection.close()

    def _answer(self, request: Request, body: bytes) -> Answer:
        if request.path == "/v2/":
            return plain_answer(200, b"{}")
        for pattern, handle in self._routes:
            found = pattern.fullmatch(request.path)
            if found is not None:
                return handle(request, body, **found.groupdict())
        return _refusal(404, "UNSUPPORTED")

    def _begin(self, request: Request, _body: bytes, name: str) -> Answer:
        query = _query(request)
        held = self._repositories.get(query.get("from", ""), _Repository()).blobs.get(query.get("mount", ""))
        if held is not None:
            self._repositories.setdefault(name, _Repository()).blobs[query["mount"]] = held
            return plain_answer(201, headers={"Location": f"/v2/{name}/blobs/{query['mount']}"})
        session = uuid4().hex
        self._uploads[session] = b""
        return plain_answer(202, headers={"Location": _session(request, name, session), "Range": "0-0"})

    def _upload(self, request: Request, body: bytes, name: str, session: str) -> Answer:
        if session not in self._uploads:
            return _refusal(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "DELETE":
            del self._uploads[session]
            return plain_answer(204)
        self._uploads[session] += body
        if request.method == "PATCH":
            return plain_answer(202, headers={"Location": _session(request, name, session), "Range": f"0-{max(0, len(self._uploads[session]) - 1)}"})
        digest = _query(request)["digest"]
        self._repositories.setdefault(name, _Repository()).blobs[digest] = self._uploads.pop(session)
        return plain_answer(201, headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _blob(self, request: Request, _body: bytes, name: str, digest: str) -> Answer:
        content = self.blob(name, digest)
        if content is None:
            return _refusal(404, "BLOB_UNKNOWN")
        wanted = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", request.header("range") or "")
        if wanted is None:
            return plain_answer(200, content, {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"})
        begin, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        if begin > end:
            return _refusal(416, "RANGE_INVALID")
        return plain_answer(206, content[begin : end + 1], {"Content-Range": f"bytes {begin}-{end}/{len(content)}"})

    def _manifest(self, request: Request, body: bytes, name: str, reference: str) -> Answer:
        if request.method == "PUT":
            held = self._repositories.setdefault(name, _Repository())
            digest = reference if reference.startswith("sha256:") else digest_of(body)
            held.manifests[digest] = (request.header("content-type") or "", body)
            if digest != reference:
                held.tags[reference] = digest
            subject = (json.loads(body).get("subject") or {}).get("digest")
            headers = {"Docker-Content-Digest": digest} | ({"OCI-Subject": subject} if subject and self.has_referrers else {})
            return plain_answer(201, headers=headers)
        held = self._repositories.get(name, _Repository())
        digest = held.tags.get(reference, reference)
        if digest not in held.manifests:
            return _refusal(404, "MANIFEST_UNKNOWN")
        if request.method == "DELETE":
            return self._delete(held, reference, digest)
        media_type, raw = held.manifests[digest]
        return plain_answer(200, raw, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _delete(self, held: _Repository, reference: str, digest: str) -> Answer:
        if reference in held.tags:
            if not self.deletes_tags:
                return _refusal(405, "UNSUPPORTED")
            del held.tags[reference]
        else:
            del held.manifests[digest]
            held.tags = {tag: named for tag, named in held.tags.items() if named != digest}
        return plain_answer(202)

    def _referrers(self, _request: Request, _body: bytes, name: str, digest: str) -> Answer:
        if not self.has_referrers:
            return _refusal(404, "UNSUPPORTED")
        entries = []
        for one, (media_type, raw) in self._repositories.get(name, _Repository()).manifests.items():
            document = json.loads(raw)
            if (document.get("subject") or {}).get("digest") == digest:
                entries.append({"mediaType": media_type, "digest": one, "size": len(raw), "artifactType": document.get("artifactType")})
        document = {"schemaVersion": 2, "mediaType": OCI["index"], "manifests": entries}
        return plain_answer(200, to_json(document), {"Content-Type": OCI["index"]})

    def _tags(self, _request: Request, _body: bytes, name: str) -> Answer:
        if name not in self._repositories:
            return _refusal(404, "NAME_UNKNOWN")
        return plain_answer(200, to_json({"name": name, "tags": sorted(self._repositories[name].tags)}))


def missing(store: Store, repository: str, digest: str) -> Iterator[str]:
    """Yield what the manifest *digest* lacks, or has with other bytes."""
    raw = store.manifest(repository, digest)
    if raw is None:
        yield f"{repository}@{digest} is not there"
        return
    if digest_of(raw) != digest:
        yield f"{repository}@{digest} has other bytes"
        return
    document = json.loads(raw)
    for child in document.get("manifests") or ():
        yield from missing(store, repository, child["digest"])
    for entry in ([document["config"]] if document.get("config") else []) + (document.get("layers") or []):
        content = store.blob(repository, entry["digest"])
        if content is None:
            yield f"{repository} lacks the blob {entry['digest']} of {digest}"
        elif digest_of(content) != entry["digest"]:
            yield f"{repository} has other bytes for the blob {entry['digest']} of {digest}"


def _linked(path: Path) -> str:
    """Return the digest of a link file; wait while docker-registry rewrites it."""
    for _ in range(1000):
        text = path.read_text()
        if text:
            return text
        time.sleep(0.005)
    raise AssertionError(f"{path} stays empty")


def _query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


def _session(request: Request, name: str, session: str) -> str:
    return f"http://{request.header('host')}/v2/{name}/blobs/uploads/{session}?_state=a%2Fb%3D="


def _refusal(status: int, code: str) -> Answer:
    return plain_answer(status, to_json({"errors": [{"code": code, "message": code.lower()}]}))
