"""
Move the bytes of images from one registry to others, and do nothing else.

    python relay.py [--splice] [--ca FILE] TAGS.json SOURCE DESTINATION...

This is a lower bound for a mirror tool in Python: no checks, no retries, no digests computed, four images at once. With --splice the bytes of large
blobs never enter the process. Every blob is copied for each tag, so it suits images that share nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PIECE = 1 << 20
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Relay:
    """Copies images from the registry at `source` to all `destinations`."""

    def __init__(self, source: str, destinations: Sequence[str], *, splices: bool = False, ca: str | None = None) -> None:
        self._source = source
        self._destinations = destinations
        self._splices = splices
        self._context = None
        if ca is not None:
            import ssl

            self._context = ssl.create_default_context(cafile=ca)

    def copy(self, repository: str, tag: str) -> None:
        """Copy the blobs of one image, then its manifest."""
        with self._connect(self._source) as source, contextlib.ExitStack() as stack:
            targets = [stack.enter_context(self._connect(host)) for host in self._destinations]
            source.sendall(_head("GET", f"/v2/{repository}/manifests/{tag}", self._source, Accept=_MANIFEST))
            manifest = _read_body(source)
            for digest in re.findall(r"sha256:[0-9a-f]{64}", manifest.decode()):
                self._copy_blob(source, targets, repository, digest)
            for target, host in zip(targets, self._destinations, strict=True):
                put = {"Content-Type": _MANIFEST, "Content-Length": str(len(manifest))}
                target.sendall(_head("PUT", f"/v2/{repository}/manifests/{tag}", host, **put) + manifest)
                _read_body(target)

    def _copy_blob(self, source: socket.socket, targets: Sequence[socket.socket], repository: str, digest: str) -> None:
        source.sendall(_head("GET", f"/v2/{repository}/blobs/{digest}", self._source))
        for target, host in zip(targets, self._destinations, strict=True):
            target.sendall(_head("POST", f"/v2/{repository}/blobs/uploads/", host, **{"Content-Length": "0"}))
        size, first = _read_head(source)[1:]
        for target, host in zip(targets, self._destinations, strict=True):
            answer = _read_head(target)[0]
            location = re.search(r"\nlocation: (?:https?://[^/]+)?(\S+)", answer, re.IGNORECASE)[1]
            put = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            target.sendall(_head("PUT", f"{location}&digest={digest}", host, **put) + first)
        (_splice if self._splices else _pour)(source, targets, size - len(first))
        for target in targets:
            _read_body(target)

    @contextlib.contextmanager
    def _connect(self, host: str) -> Iterator[socket.socket]:
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port))) as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is None:
                yield plain
            else:
                with self._context.wrap_socket(plain, server_hostname=name) as secure:
                    yield secure


def _head(method: str, target: str, host: str, **fields: str) -> bytes:
    return "".join([f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n", *(f"{name}: {field}\r\n" for name, field in fields.items()), "\r\n"]).encode()


def _read_head(source: socket.socket) -> tuple[str, int, bytes]:
    """Return the head of a response, the size of its body and its first bytes."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = source.recv(4096)
        _expect_bytes(len(piece))
        received += piece
    head, _, first = received.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    if not re.match(r"HTTP/1.1 20", text):
        raise SystemExit(f"a registry answers: {text}")
    length = re.search(r"\ncontent-length: (\d+)", text, re.IGNORECASE)
    return text, int(length[1]) if length else 0, first


def _expect_bytes(count: int) -> None:
    if not count:
        raise SystemExit("a registry closed a connection")


def _read_body(source: socket.socket) -> bytes:
    size, body = _read_head(source)[1:]
    while len(body) < size:
        piece = source.recv(size - len(body))
        _expect_bytes(len(piece))
        body += piece
    return body


def _pour(source: socket.socket, targets: Sequence[socket.socket], size: int) -> None:
    buffer = memoryview(bytearray(_PIECE))
    while size:
        count = source.recv_into(buffer, min(_PIECE, size))
        _expect_bytes(count)
        for target in targets:
            target.sendall(buffer[:count])
        size -= count


def _splice(source: socket.socket, targets: Sequence[socket.socket], size: int) -> None:
    (target,) = targets
    out, into = os.pipe()
    try:
        while size:
            held = os.splice(source.fileno(), into, min(_PIECE, size))
            _expect_bytes(held)
            size -= held
            while held:
                held -= os.splice(out, target.fileno(), held)
    finally:
        os.close(out)
        os.close(into)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--splice", action="store_true")
    parser.add_argument("--ca")
    parser.add_argument("tags", type=Path)
    parser.add_argument("source")
    parser.add_argument("destinations", nargs="+")
    options = parser.parse_args()
    relay = Relay(options.source, options.destinations, splices=options.splice, ca=options.ca)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda image: relay.copy(*image), json.loads(options.tags.read_text())))


if __name__ == "__main__":
    main()
