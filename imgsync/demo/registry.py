"""
A small, honest registry in this process, on loopback and in memory.

Spec: distribution-spec 1.1, pull, push (monolithic and chunked), mount, referrers, tags and catalog with paging. It checks
every digest, and refuses manifests whose content is missing. Not for production: nothing is stored, nobody is asked who they are.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote

from gevent.pywsgi import WSGIServer

from imgsync.demo.images import Content

_NAME = r"(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST_LIMIT = 4 << 20
_PAGE = 1000
_CHUNK = 1 << 16
_REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    206: "Partial Content",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    416: "Range Not Satisfiable",
}


@dataclass(slots=True)
class _Repository:
    blobs: set[str] = field(default_factory=set)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any

    def first(self, name: str) -> str:
        return self.query.get(name, [""])[0]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class _Refusal(Exception):  # noqa: N818 - an answer on its way out
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = _Answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), {"Content-Type": "application/json"})


class EmbeddedRegistry:
    """A registry on a loopback port of its own choice, serving while the block lasts. `requests` counts them by method."""

    def __init__(self) -> None:
        """Begin empty."""
        self.requests: Counter[str] = Counter()
        self._repositories: dict[str, _Repository] = {}
        self._blobs: dict[str, bytes] = {}
        self._uploads: dict[str, bytearray] = {}
        self._server = WSGIServer(("127.0.0.1", 0), self._serve, log=None, error_log=None)
        self._routes: list[tuple[re.Pattern[str], Callable[..., _Answer]]] = [
            (re.compile(r"/v2/"), lambda _: _Answer(200, b"{}", {"Content-Type": "application/json"})),
            (re.compile(r"/v2/_catalog"), self._catalog),
            (re.compile(rf"/v2/{_NAME}/tags/list"), self._tags),
            (re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>[^/]+)"), self._manifest),
            (re.compile(rf"/v2/{_NAME}/referrers/(?P<digest>sha256:[0-9a-f]{{64}})"), self._referrers),
            (re.compile(rf"/v2/{_NAME}/blobs/uploads/"), self._begin),
            (re.compile(rf"/v2/{_NAME}/blobs/uploads/(?P<session>[0-9a-f-]+)"), self._upload),
            (re.compile(rf"/v2/{_NAME}/blobs/(?P<digest>sha256:[0-9a-f]{{64}})"), self._blob),
        ]

    def __enter__(self) -> EmbeddedRegistry:
        """Begin to serve."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.stop()

    @property
    def host(self) -> str:
        """Return HOST:PORT."""
        return f"127.0.0.1:{self._server.server_port}"

    def seed(self, name: str, tag: str, content: Content) -> None:
        """Put an image in without any request; the tag moves if it was there."""
        repository = self._repositories.setdefault(name, _Repository())
        self._blobs.update(content.blobs)
        repository.blobs.update(content.blobs)
        repository.manifests.update(content.manifests)
        repository.tags[tag] = content.root

    def digest(self, name: str, tag: str) -> str | None:
        """Return the digest that *tag* names, None for nothing."""
        return self._repositories.get(name, _Repository()).tags.get(tag)

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.requests[method] += 1
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
        headers["content-type"] = environ.get("CONTENT_TYPE") or ""
        request = _Request(method, parse_qs(environ.get("QUERY_STRING", "")), headers, environ["wsgi.input"])
        try:
            answer = self._answer(environ["PATH_INFO"], request)
        except _Refusal as refusal:
            answer = refusal.answer
        length = answer.headers.get("Content-Length", str(len(answer.body)))
        start(f"{answer.status} {_REASONS[answer.status]}", [*{**answer.headers, "Content-Length": length}.items()])
        return [] if method == "HEAD" else [answer.body]

    def _answer(self, path: str, request: _Request) -> _Answer:
        for pattern, handle in self._routes:
            found = pattern.fullmatch(path)
            if found is not None:
                return handle(request, **found.groupdict())
        raise _Refusal(404, "NAME_UNKNOWN", "there is nothing here")

    def _known(self, name: str) -> _Repository:
        if name not in self._repositories:
            raise _Refusal(404, "NAME_UNKNOWN", f"there is no repository {name}")
        return self._repositories[name]

    def _catalog(self, request: _Request) -> _Answer:
        return _page(request, sorted(self._repositories), "/v2/_catalog", lambda part: {"repositories": part})

    def _tags(self, request: _Request, name: str) -> _Answer:
        return _page(request, sorted(self._known(name).tags), f"/v2/{name}/tags/list", lambda part: {"name": name, "tags": part})

    def _manifest(self, request: _Request, name: str, reference: str) -> _Answer:
        if request.method == "PUT":
            return self._put_manifest(request, name, reference)
        _only(request, "GET", "HEAD")
        repository = self._known(name)
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            raise _Refusal(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference}")
        media_type, raw = repository.manifests[digest]
        return _Answer(200, raw, {"Content-Type": media_type, "Docker-Content-Digest": digest})

    def _put_manifest(self, request: _Request, name: str, reference: str) -> _Answer:
        raw = request.body.read(_MANIFEST_LIMIT + 1)
        if len(raw) > _MANIFEST_LIMIT:
            raise _Refusal(400, "MANIFEST_INVALID", "the manifest is larger than 4 MiB")
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if reference.startswith("sha256:") and reference != digest:
            raise _Refusal(400, "DIGEST_INVALID", "the manifest has another digest")
        repository = self._repositories.setdefault(name, _Repository())
        for wanted in _references(raw):
            if wanted not in repository.blobs and wanted not in repository.manifests:
                raise _Refusal(400, "MANIFEST_BLOB_UNKNOWN", f"{wanted} is not in {name}")
        repository.manifests[digest] = (request.headers["content-type"], raw)
        if reference != digest:
            repository.tags[reference] = digest
        subject = _subject(raw)
        known = {"OCI-Subject": subject} if subject else {}
        return _Answer(201, headers={"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest, **known})

    def _referrers(self, request: _Request, name: str, digest: str) -> _Answer:
        _only(request, "GET")
        entries = [
            _referrer(one, media_type, raw)
            for one, (media_type, raw) in self._repositories.get(name, _Repository()).manifests.items()
            if _subject(raw) == digest
        ]
        document = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries}
        return _Answer(200, json.dumps(document).encode(), {"Content-Type": _INDEX})

    def _blob(self, request: _Request, name: str, digest: str) -> _Answer:
        _only(request, "GET", "HEAD")
        if digest not in self._known(name).blobs:
            raise _Refusal(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
        content = self._blobs[digest]
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        wanted = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", request.headers.get("range", ""))
        if wanted is None:
            return _Answer(200, content, {**headers, "Content-Length": str(len(content))})
        begin, end = int(wanted.group(1)), min(int(wanted.group(2) or len(content) - 1), len(content) - 1)
        if begin > end:
            raise _Refusal(416, "RANGE_INVALID", "the range is outside the blob")
        return _Answer(206, content[begin : end + 1], {**headers, "Content-Range": f"bytes {begin}-{end}/{len(content)}"})

    def _begin(self, request: _Request, name: str) -> _Answer:
        _only(request, "POST")
        digest, origin = request.first("mount"), request.first("from")
        if digest and digest in self._repositories.get(origin, _Repository()).blobs:
            self._repositories.setdefault(name, _Repository()).blobs.add(digest)
            return _Answer(201, headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})
        session = str(uuid.uuid4())
        self._uploads[session] = bytearray()
        return self._progress(202, name, session)

    def _upload(self, request: _Request, name: str, session: str) -> _Answer:
        if session not in self._uploads:
            raise _Refusal(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload session")
        _only(request, "GET", "PATCH", "PUT", "DELETE")
        if request.method == "DELETE":
            del self._uploads[session]
            return _Answer(204)
        if request.method != "GET":
            received = self._uploads[session]
            while chunk := request.body.read(_CHUNK):
                received += chunk
        if request.method == "PUT":
            return self._commit(request, name, session)
        return self._progress(202 if request.method == "PATCH" else 204, name, session)

    def _commit(self, request: _Request, name: str, session: str) -> _Answer:
        content = bytes(self._uploads.pop(session))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if request.first("digest") != digest:
            raise _Refusal(400, "DIGEST_INVALID", "the blob has another digest")
        self._blobs[digest] = content
        self._repositories.setdefault(name, _Repository()).blobs.add(digest)
        return _Answer(201, headers={"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _progress(self, status: int, name: str, session: str) -> _Answer:
        end = max(0, len(self._uploads[session]) - 1)
        return _Answer(status, headers={"Location": f"/v2/{name}/blobs/uploads/{session}", "Range": f"0-{end}", "Docker-Upload-UUID": session})


def _only(request: _Request, *methods: str) -> None:
    if request.method not in methods:
        raise _Refusal(405, "UNSUPPORTED", f"{request.method} is not known here")


def _references(raw: bytes) -> list[str]:
    try:
        document = json.loads(raw)
        entries = [document.get("config") or {}, *document.get("layers", ()), *document.get("manifests", ())]
        return [entry["digest"] for entry in entries if entry]
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise _Refusal(400, "MANIFEST_INVALID", "the manifest cannot be read") from error


def _subject(raw: bytes) -> str:
    subject = json.loads(raw).get("subject")
    return str(subject["digest"]) if subject else ""


def _referrer(digest: str, media_type: str, raw: bytes) -> dict[str, Any]:
    document = json.loads(raw)
    kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
    entry = {"mediaType": media_type, "digest": digest, "size": len(raw), "artifactType": kind, "annotations": document.get("annotations")}
    return {key: value for key, value in entry.items() if value}


def _page(request: _Request, names: list[str], path: str, wrap: Callable[[list[str]], dict[str, object]]) -> _Answer:
    _only(request, "GET")
    size = min(int(request.first("n")), _PAGE) if request.first("n").isdigit() else _PAGE
    after = [name for name in names if name > request.first("last")]
    part = after[:size]
    headers = {"Content-Type": "application/json"}
    if len(after) > size and part:
        headers["Link"] = f'<{path}?n={size}&last={quote(part[-1], safe="")}>; rel="next"'
    return _Answer(200, json.dumps(wrap(part)).encode(), headers)
