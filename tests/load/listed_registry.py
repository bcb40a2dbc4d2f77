"""
A registry that lists tags with their digests, and serves nothing else.

    python -m tests.load.listed_registry TAGS [PORT]

It prints its port and lists `load/rNNNNNN`, page by page, as Google's registries do. A run in which every tag is kept needs no more.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

_PAGE = 5000
_MOMENT_MS = "1767225600000"


def name_repository(number: int) -> str:
    """Return the path of a repository."""
    return f"load/r{number:06}"


def name_tags(count: int) -> Sequence[str]:
    """Return the tags of each repository, sorted."""
    return [f"v1.{number:07}" for number in range(count)]


def make_digest(repository: str, tag: str) -> str:
    """Return the digest of a tag."""
    return f"sha256:{hashlib.sha256(f'{repository}:{tag}'.encode()).hexdigest()}"


class _Handler(BaseHTTPRequestHandler):
    """Answers each request for a list."""

    protocol_version = "HTTP/1.1"
    tags: Sequence[str] = ()

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Return one page of tags."""
        path, _, query = self.path.partition("?")
        name = path.removeprefix("/v2/").removesuffix("/tags/list")
        begin = int(parse_qs(query).get("begin", ["0"])[0])
        page = self.tags[begin : begin + _PAGE]
        body = json.dumps({"name": name, "tags": page, "manifest": dict(_describe(name, page)), "child": []}).encode()
        self.send_response(200 if path.endswith("/tags/list") else 404)
        if begin + _PAGE < len(self.tags):
            self.send_header("Link", f'</v2/{name}/tags/list?begin={begin + _PAGE}>; rel="next"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _describe(name: str, tags: Sequence[str]) -> Iterator[tuple[str, object]]:
    for tag in tags:
        yield make_digest(name, tag), {"imageSizeBytes": "1000", "tag": [tag], "timeUploadedMs": _MOMENT_MS, "mediaType": "x/y"}


def main(tags: int, port: int = 0) -> None:
    """Serve until killed."""
    _Handler.tags = name_tags(tags)
    server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
