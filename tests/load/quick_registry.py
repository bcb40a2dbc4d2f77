"""
A fast registry in memory for load tests.

    python -m tests.load.quick_registry [REPOSITORIES TAGS]

It prints its port, serves `load/rNNNN` with generated small images, and accepts pushes. It checks digests and refuses incomplete manifests. For the tests:
`POST /-/refuse?share=0.5&seed=1` answers 429 to that share of requests (`&after=SECONDS` adds Retry-After), `POST /-/move?tags=N` moves the first N tags
of each generated repository, `GET /-/told` returns its counters, and `GET /-/tags` the pushed tags.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_PAGE = 1000
_OWN = "load/r"


class Refusal(Exception):
    """An answer on its way out."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class QuickRegistry:
    """Generated images by number and generation, and pushed content."""

    def __init__(self, repositories: int, tags: int) -> None:
        """Serve generated repositories and tags of the first generation."""
        self._repositories = repositories
        self._tags = tags
        self._generations: Counter[int] = Counter()
        self._made: dict[str, bytes] = {}
        self._blobs: dict[str, set[str]] = {}
        self._sizes: dict[str, int] = {}
        self._manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self._named: dict[str, dict[str, str]] = {}
        self._sessions = 0
        self._share, self._after = 0.0, ""
        self._random = random.Random(0)
        self.counts: Counter[str] = Counter()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        path, _, text = target.partition("?")
        query = {name: values[0] for name, values in parse_qs(text).items()}
        if path.startswith("/-/"):
            return self._control(path, query)
        self.counts[method] += 1
        if self._share and self._random.random() < self._share:
            self.counts["refused"] += 1
            return 429, {"Retry-After": self._after} if self._after else {}, b""
        try:
            return self._routed(method, path, query, headers, body)
        except Refusal as refusal:
            return refusal.status, {"Content-Type": "application/json"}, json.dumps({"errors": [{"code": refusal.code}]}).encode()

    def _control(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if path == "/-/refuse":
            self._share, self._after = float(query["share"]), query.get("after", "")
            self._random = random.Random(int(query["seed"]))
        elif path == "/-/move":
            self._generations.update(range(int(query["tags"])))
            self._made.clear()
        elif path == "/-/told":
            return 200, {}, json.dumps(self.counts).encode()
        elif path == "/-/tags":
            return 200, {}, json.dumps(self._named).encode()
        return 200, {}, b"{}"

    def _routed(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path == "/v2/":
            return 200, {}, b"{}"
        for mark, handle in _HANDLERS.items():
            name, found, rest = path.removeprefix("/v2/").rpartition(mark)
            if found:
                return handle(self, method, name, unquote(rest), query, headers, body)
        raise Refusal(404, "NAME_UNKNOWN")

    def _listed(self, method: str, name: str, rest: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        own = name.startswith(_OWN)
        if not own and name not in self._named:
            raise Refusal(404, "NAME_UNKNOWN")
        every = [f"v{number:06}" for number in range(self._tags)] if own else sorted(self._named[name])
        begin = next((place for place, tag in enumerate(every) if tag > query["last"]), len(every)) if "last" in query else 0
        page = every[begin : begin + _PAGE]
        more = {"Link": f'</v2/{name}/tags/list?n={_PAGE}&last={page[-1]}>; rel="next"'} if begin + _PAGE < len(every) else {}
        return 200, {"Content-Type": "application/json", **more}, json.dumps({"name": name, "tags": page}).encode()

    def _manifest(self, method: str, name: str, rest: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "PUT":
            return self._pushed(name, rest, headers, body)
        if name.startswith(_OWN):
            if rest.startswith("v"):
                rest = self._make(name, int(rest[1:]))
            found = (_MANIFEST, self._made[rest]) if rest in self._made else None
        else:
            rest = self._named.get(name, {}).get(rest, rest)
            found = self._manifests.get(name, {}).get(rest)
        if found is None:
            raise Refusal(404, "MANIFEST_UNKNOWN")
        return 200, {"Content-Type": found[0], "Docker-Content-Digest": rest}, found[1]

    def _make(self, name: str, number: int) -> str:
        """Make a tag's image, which shares a layer with its repository."""
        seed = f"{name} {number} {self._generations[number]}"
        blobs = [json.dumps({"architecture": "amd64", "os": "linux", "seed": seed}).encode(), seed.encode() * 40, f"base {name}".encode() * 100]
        described = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": self._keep(blob), "size": len(blob)} for blob in blobs]
        config = described.pop(0) | {"mediaType": "application/vnd.oci.image.config.v1+json"}
        return self._keep(json.dumps({"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": described}).encode())

    def _keep(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._made[digest] = content
        return digest

    def _pushed(self, name: str, rest: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        document = json.loads(body)
        held = self._blobs.get(name, set())
        if any(one["digest"] not in held for one in (document["config"], *document["layers"])):
            raise Refusal(400, "MANIFEST_BLOB_UNKNOWN")
        self._manifests.setdefault(name, {})[digest] = (headers["content-type"], body)
        if rest != digest:
            self._named.setdefault(name, {})[rest] = digest
        return 201, {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}, b""

    def _blob(self, method: str, name: str, rest: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if name.startswith(_OWN) and rest in self._made:
            return 200, {"Docker-Content-Digest": rest}, self._made[rest]
        if rest not in self._blobs.get(name, ()):
            raise Refusal(404, "BLOB_UNKNOWN")
        # Of what was pushed the size alone is kept.
        return 200, {"Docker-Content-Digest": rest}, b"\0" * self._sizes[rest]

    def _upload(self, method: str, name: str, rest: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "POST":
            if query.get("mount") in self._blobs.get(query.get("from", ""), ()):
                self._blobs.setdefault(name, set()).add(query["mount"])
                return 201, {"Location": f"/v2/{name}/blobs/{query['mount']}"}, b""
            self._sessions += 1
            return 202, {"Location": f"/v2/{name}/blobs/uploads/{self._sessions}"}, b""
        if method == "DELETE":
            return 204, {}, b""
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        if query.get("digest") != digest:
            raise Refusal(400, "DIGEST_INVALID")
        self.counts["blobs"] += 1
        self._blobs.setdefault(name, set()).add(digest)
        self._sizes[digest] = len(body)
        return 201, {"Location": f"/v2/{name}/blobs/{digest}"}, b""


_Handler = Callable[[QuickRegistry, str, str, str, dict[str, str], dict[str, str], bytes], tuple[int, dict[str, str], bytes]]
_HANDLERS: dict[str, _Handler] = {
    "/blobs/uploads/": QuickRegistry._upload,
    "/blobs/": QuickRegistry._blob,
    "/manifests/": QuickRegistry._manifest,
    "/tags/list": QuickRegistry._listed,
}


class Served(asyncio.Protocol):
    """One connection: requests one after another, bodies by their length."""

    def __init__(self, registry: QuickRegistry) -> None:
        """Answer for *registry*."""
        self._registry = registry
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole by now."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            whole = end + 4 + int(headers.get("content-length", "0"))
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            method, target, _ = first.split(" ")
            status, said, content = self._registry.answer(method, target, headers, body)
            head = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Length": str(len(content)), **said}.items())
            text = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n"
            self._transport.write(text.encode("latin-1") + (b"" if method == "HEAD" else content))  # type: ignore[attr-defined]


async def main(repositories: int, tags: int) -> None:
    """Serve until killed."""
    registry = QuickRegistry(repositories, tags)
    server = await asyncio.get_running_loop().create_server(lambda: Served(registry), "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:] or ("0", "0"))))
