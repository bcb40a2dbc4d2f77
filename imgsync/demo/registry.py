"""
A small registry in this process, on loopback and in memory.

It verifies every digest and refuses manifests whose content is missing. It stores nothing and requires no login: it is not
for production. Spec: distribution-spec 1.1: pull, push (monolithic and chunked), mount, delete, referrers, tags and catalog.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any

from gevent.pywsgi import WSGIServer

from imgsync.demo.images import StoredImage
from imgsync.demo.manifests import describe_referrer, read_references, read_subject
from imgsync.demo.responses import REASONS, ErrorResponse, Request, Response, parse_request, require_method, respond_page
from imgsync.system.dataclass import dataclass

_NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_DIGEST = r"(?P<digest>sha256:[0-9a-f]{64})"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST_LIMIT_BYTES = 4 << 20
_READ_BYTES = 1 << 16


@dataclass(slots=True)
class _Repository:
    blobs: set[str] = field(default_factory=set)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class EmbeddedRegistry:
    """A registry on a loopback port, serving within its `with` block."""

    def __init__(self, port: int = 0) -> None:
        """Begin empty, on *port*, or a free one if it is 0."""
        self.requests: Counter[str] = Counter()
        """Requests by method."""
        self._repositories: dict[str, _Repository] = {}
        self._blobs: dict[str, bytes] = {}
        self._uploads: dict[str, bytearray] = {}
        self._server = WSGIServer(("127.0.0.1", port), self.serve, log=None, error_log=None)
        routes: dict[str, Callable[..., Response]] = {
            r"/v2/": lambda _: Response(200, b"{}", {"Content-Type": "application/json"}),
            r"/v2/_catalog": self._list_repositories,
            rf"/v2/{_NAME}/tags/list": self._list_tags,
            rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)": self._serve_manifest,
            rf"/v2/{_NAME}/referrers/{_DIGEST}": self._list_referrers,
            rf"/v2/{_NAME}/blobs/uploads/": self._begin_upload,
            rf"/v2/{_NAME}/blobs/uploads/(?P<session>[0-9a-f-]+)": self._continue_upload,
            rf"/v2/{_NAME}/blobs/{_DIGEST}": self._serve_blob,
        }
        self._routes = [(re.compile(pattern), handle) for pattern, handle in routes.items()]

    def __enter__(self) -> EmbeddedRegistry:
        """Start serving."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.stop()

    @property
    def port(self) -> int:
        """Return the port that it serves on."""
        return int(self._server.server_port)

    @property
    def host(self) -> str:
        """Return HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def store(self, name: str, tag: str, image: StoredImage) -> None:
        """Add an image without a request; move the tag if it exists."""
        repository = self._repositories.setdefault(name, _Repository())
        self._blobs.update(image.blobs)
        repository.blobs.update(image.blobs)
        repository.manifests.update(image.manifests)
        repository.tags[tag] = image.root

    def resolve(self, name: str, tag: str) -> str | None:
        """Return the digest of *tag*, None if it does not exist."""
        return self._repositories.get(name, _Repository()).tags.get(tag)

    def serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request; the WSGI application."""
        request = parse_request(environ)
        self.requests[request.method] += 1
        try:
            response = self._respond(environ["PATH_INFO"], request)
        except ErrorResponse as error:
            response = error.response
        headers = {**response.headers, "Content-Length": response.headers.get("Content-Length", str(len(response.body)))}
        start_response(f"{response.status} {REASONS[response.status]}", [*headers.items()])
        return [] if request.method == "HEAD" else [response.body]

    def _respond(self, path: str, request: Request) -> Response:
        for pattern, handle in self._routes:
            match = pattern.fullmatch(path)
            if match is not None:
                return handle(request, **match.groupdict())
        raise ErrorResponse(404, "NAME_UNKNOWN", "unknown path")

    def _find_repository(self, name: str) -> _Repository:
        if name not in self._repositories:
            raise ErrorResponse(404, "NAME_UNKNOWN", f"repository {name} does not exist")
        return self._repositories[name]

    def _list_repositories(self, request: Request) -> Response:
        return respond_page(request, sorted(self._repositories), "/v2/_catalog", lambda page: {"repositories": page})

    def _list_tags(self, request: Request, name: str) -> Response:
        return respond_page(request, sorted(self._find_repository(name).tags), f"/v2/{name}/tags/list", lambda page: {"name": name, "tags": page})

    def _serve_manifest(self, request: Request, name: str, reference: str) -> Response:
        if request.method == "PUT":
            return self._put_manifest(request, name, reference)
        repository = self._find_repository(name)
        if request.method == "DELETE":
            return self._delete_manifest(repository, reference)
        require_method(request, "GET", "HEAD")
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            raise ErrorResponse(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference}")
        media_type, raw = repository.manifests[digest]
        return Response(200, raw, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _put_manifest(self, request: Request, name: str, reference: str) -> Response:
        raw = request.body.read(_MANIFEST_LIMIT_BYTES + 1)
        if len(raw) > _MANIFEST_LIMIT_BYTES:
            raise ErrorResponse(400, "MANIFEST_INVALID", "the manifest is larger than 4 MiB")
        digest = _digest(raw)
        if reference.startswith("sha256:") and reference != digest:
            raise ErrorResponse(400, "DIGEST_INVALID", f"the manifest has the digest {digest}")
        repository = self._repositories.setdefault(name, _Repository())
        for part in read_references(raw):
            if part not in repository.blobs and part not in repository.manifests:
                raise ErrorResponse(400, "MANIFEST_BLOB_UNKNOWN", f"{part} is not in {name}")
        repository.manifests[digest] = (request.headers["content-type"], raw)
        if reference != digest:
            repository.tags[reference] = digest
        subject = read_subject(raw)
        indexed = {"OCI-Subject": subject} if subject else {}
        return Response(201, headers={"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest, **indexed})

    def _delete_manifest(self, repository: _Repository, reference: str) -> Response:
        """Delete a tag, or a manifest with its tags."""
        if reference not in repository.tags and reference not in repository.manifests:
            raise ErrorResponse(404, "MANIFEST_UNKNOWN", f"no manifest {reference}")
        repository.manifests.pop(reference, None)
        repository.tags = {tag: digest for tag, digest in repository.tags.items() if reference not in {tag, digest}}
        return Response(202)

    def _list_referrers(self, request: Request, name: str, digest: str) -> Response:
        require_method(request, "GET")
        manifests = self._repositories.get(name, _Repository()).manifests
        entries = [describe_referrer(one, media_type, raw) for one, (media_type, raw) in manifests.items() if read_subject(raw) == digest]
        document = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
        return Response(200, json.dumps(document).encode(), {"Content-Type": _INDEX})

    def _serve_blob(self, request: Request, name: str, digest: str) -> Response:
        require_method(request, "GET", "HEAD")
        if digest not in self._find_repository(name).blobs:
            raise ErrorResponse(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
        content = self._blobs[digest]
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        ranges = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", request.headers.get("range", ""))
        if ranges is None:
            return Response(200, content, {**headers, "Content-Length": str(len(content))})
        begin, end = int(ranges[1]), min(int(ranges[2] or len(content) - 1), len(content) - 1)
        if begin > end:
            raise ErrorResponse(416, "RANGE_INVALID", "the range is outside the blob")
        return Response(206, content[begin : end + 1], {**headers, "Content-Range": f"bytes {begin}-{end}/{len(content)}"})

    def _begin_upload(self, request: Request, name: str) -> Response:
        require_method(request, "POST")
        digest, mount_from = request.parameter("mount"), request.parameter("from")
        if digest and digest in self._repositories.get(mount_from, _Repository()).blobs:
            return self._add_blob(name, digest)
        session = str(uuid.uuid4())
        self._uploads[session] = bytearray()
        return self._describe_upload(202, name, session)

    def _continue_upload(self, request: Request, name: str, session: str) -> Response:
        if session not in self._uploads:
            raise ErrorResponse(404, "BLOB_UPLOAD_UNKNOWN", "unknown upload session")
        require_method(request, "GET", "PATCH", "PUT", "DELETE")
        if request.method == "DELETE":
            del self._uploads[session]
            return Response(204)
        if request.method == "GET":
            return self._describe_upload(204, name, session)
        while chunk := request.body.read(_READ_BYTES):
            self._uploads[session] += chunk
        if request.method == "PUT":
            return self._finish_upload(request, name, session)
        return self._describe_upload(202, name, session)

    def _finish_upload(self, request: Request, name: str, session: str) -> Response:
        content = bytes(self._uploads.pop(session))
        digest = _digest(content)
        if request.parameter("digest") != digest:
            raise ErrorResponse(400, "DIGEST_INVALID", f"the blob has the digest {digest}")
        self._blobs[digest] = content
        return self._add_blob(name, digest)

    def _add_blob(self, name: str, digest: str) -> Response:
        self._repositories.setdefault(name, _Repository()).blobs.add(digest)
        return Response(201, headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _describe_upload(self, status: int, name: str, session: str) -> Response:
        end = max(0, len(self._uploads[session]) - 1)
        return Response(status, headers={"Location": f"/v2/{name}/blobs/uploads/{session}", "Range": f"0-{end}", "Docker-Upload-UUID": session})


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
