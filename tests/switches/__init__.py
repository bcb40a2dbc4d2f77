"""Faults of the proxy: `proxy.add(switch, method=…, target=…, nth=…)`."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.support.wire import Answer, CutError, Request, changed, plain_answer

_MANIFEST_LIMIT = 4 << 20


class Switch:
    """A switch that changes nothing; `early` answers before the body is read."""

    early = False

    def request(self, request: Request) -> Request | Answer:
        """Return the request to forward, or an answer in its place."""
        return request

    def upload(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return the request's body to forward."""
        return pieces

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Return the answer as the client sees it."""
        return answer


class Respond(Switch):
    """Answer in the registry's place."""

    def __init__(self, status: int, body: bytes | str | dict[str, object] = b"", *, headers: dict[str, str] | None = None, early: bool = False) -> None:
        """Answer *status* with a body (a dict becomes JSON) and *headers*."""
        raw = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        self._answer = plain_answer(status, raw, headers)
        self.early = early

    def request(self, request: Request) -> Request | Answer:
        """Answer."""
        return self._answer


class Echo(Switch):
    """Answer an error whose message is the Authorization header of the request."""

    def __init__(self, status: int) -> None:
        """Answer *status*."""
        self._status = status

    def request(self, request: Request) -> Request | Answer:
        """Answer."""
        body = {"errors": [{"code": "DENIED", "message": f"you sent {request.header('authorization')}"}]}
        return plain_answer(self._status, json.dumps(body).encode())


class Raw(Switch):
    """Answer raw bytes, status line included, and close."""

    def __init__(self, *pieces: bytes, status: int = 200) -> None:
        """Send *pieces* in turn; *status* is for the record."""
        self._answer = Answer(status, body=lambda: iter(pieces), framing="raw")

    def request(self, request: Request) -> Request | Answer:
        """Answer."""
        return self._answer


class Hold(Switch):
    """Hold requests, or answers after some bytes, until released."""

    def __init__(self, after_bytes: int | None = None) -> None:
        """Hold the request, or with *after_bytes* its answer."""
        self._after = after_bytes
        self._released = threading.Event()
        self._reached = threading.Semaphore(0)

    def request(self, request: Request) -> Request | Answer:
        """Wait here unless it is the body that is held."""
        if self._after is None:
            self._wait()
        return request

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Hold the body."""
        return answer if self._after is None else replace(answer, body=lambda: self._held(answer.body()))

    def reached(self, timeout: float = 30) -> None:
        """Wait until one more request is held here."""
        if not self._reached.acquire(timeout=timeout):
            raise AssertionError(f"no request came to be held within {timeout} s")

    def release(self) -> None:
        """Let everything go on, now and from now on."""
        self._released.set()

    def _wait(self) -> None:
        self._reached.release()
        self._released.wait()

    def _held(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        left = self._after or 0
        for piece in pieces:
            if left < len(piece) and not self._released.is_set():
                yield piece[:left]
                self._wait()
                yield piece[left:]
            else:
                yield piece
            left = max(0, left - len(piece))


class Distance(Switch):
    """Delay answers, as a distant registry would."""

    def __init__(self, seconds: float = 0.03) -> None:
        """Be *seconds* away, there and back."""
        self._seconds = seconds

    def request(self, request: Request) -> Request | Answer:
        """Take the time."""
        time.sleep(self._seconds)
        return request


class _Body(Switch):
    """Pass the answer's body through a function; heads stay as they are."""

    def __init__(self, change: Callable[[Iterator[bytes]], Iterator[bytes]], *, framing: str | None = None) -> None:
        self._change = change
        self._framing = framing

    def answer(self, request: Request, answer: Answer) -> Answer:
        framing = self._framing or answer.framing
        headers = answer.headers
        if framing != "length":
            headers = changed(headers, {"Content-Length": None, "Transfer-Encoding": "chunked" if framing == "chunked" else None})
        if framing == "close":
            headers = changed(headers, {"Connection": "close"})
        return replace(answer, headers=headers, framing=framing, body=lambda: self._change(answer.body()))


class _Upload(Switch):
    """Pass the request's body through a function."""

    def __init__(self, change: Callable[[Iterator[bytes]], Iterator[bytes]]) -> None:
        self._change = change

    def upload(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        return self._change(pieces)


class _Change(Switch):
    """Change the request's or the answer's head with a function."""

    def __init__(self, *, request: Callable[[Request], Request | Answer] | None = None, answer: Callable[[Request, Answer], Answer] | None = None) -> None:
        self._request = request
        self._answer = answer

    def request(self, request: Request) -> Request | Answer:
        return self._request(request) if self._request else request

    def answer(self, request: Request, answer: Answer) -> Answer:
        return self._answer(request, answer) if self._answer else answer


def status(code: int, *, retry_after: str | None = None, error: str = "", headers: dict[str, str] | None = None, early: bool = False) -> Switch:
    """Answer *code*, with an error of the specification and Retry-After."""
    body: dict[str, object] = {"errors": [{"code": error, "message": f"the harness says {error}"}]} if error else {}
    extra = {"Retry-After": retry_after} if retry_after is not None else {}
    return Respond(code, body, headers={**extra, **(headers or {})}, early=early)


def require_authorization(value: str, challenge: str) -> Switch:
    """Answer 401 with *challenge* to every request whose Authorization is not *value*."""
    refusal = plain_answer(401, headers={"WWW-Authenticate": challenge})
    return _Change(request=lambda request: request if request.header("authorization") == value else refusal)


def html(code: int = 200) -> Switch:
    """Answer a page for people, as portals and misplaced proxies do."""
    return Respond(code, "<!doctype html><title>Welcome</title>", headers={"Content-Type": "text/html; charset=utf-8"})


def tags_null(name: str = "name") -> Switch:
    """Answer a tag listing whose tags are null."""
    return Respond(200, {"name": name, "tags": None})


def huge_manifest(media_type: str = "application/vnd.oci.image.index.v1+json") -> Switch:
    """Answer a manifest, right in every way, of more than 4 MiB."""
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": [], "annotations": {"filling": "x" * _MANIFEST_LIMIT}}).encode()
    return Respond(200, raw, headers={"Content-Type": media_type, "Docker-Content-Digest": f"sha256:{hashlib.sha256(raw).hexdigest()}"})


def redirect(host: str, *, scheme: str = "http", code: int = 307, target: str | None = None) -> Switch:
    """Redirect to *host*, by default with the same path and query."""
    return _Change(request=lambda request: plain_answer(code, headers={"Location": f"{scheme}://{host}{target if target is not None else request.target}"}))


def reset() -> Switch:
    """Break the connection with a reset instead of an answer."""
    return _Change(answer=_raise_reset)


def drop_body_after(size: int, *, framing: str | None = None, reset: bool = False) -> Switch:
    """
    Cut the answer's body after some bytes.

    *framing* makes the answer "length", "chunked" or "close"; with "close" it looks complete.
    """

    def cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield from _cut_at(pieces, size)
        raise CutError(reset=reset)

    return _Body(cut, framing=framing)


def reframe(framing: str) -> Switch:
    """Send the answer's body whole, but "chunked", or ended by "close"."""
    return _Body(lambda pieces: pieces, framing=framing)


def corrupt_byte(at: int = 0) -> Switch:
    """Flip every bit of one byte of the answer's body."""

    def corrupt(pieces: Iterator[bytes]) -> Iterator[bytes]:
        begin = 0
        for piece in pieces:
            here = at - begin
            yield piece[:here] + bytes([piece[here] ^ 0xFF]) + piece[here + 1 :] if 0 <= here < len(piece) else piece
            begin += len(piece)

    return _Body(corrupt)


def trickle(size: int, *, seconds: float) -> Switch:
    """Send the body in pieces of *size* bytes, pausing *seconds* after each."""

    def slowly(pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            for begin in range(0, len(piece), size):
                yield piece[begin : begin + size]
                time.sleep(seconds)

    return _Body(slowly)


def extra_bytes(extra: bytes = b"more", *, framing: str = "chunked") -> Switch:
    """Send more body than there is, in a framing that allows it."""
    return _Body(lambda pieces: itertools.chain(pieces, (extra,)), framing=framing)


def break_upload_after(size: int) -> Switch:
    """Reset the connection after some bytes of the request's body."""

    def cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield from _cut_at(pieces, size)
        raise CutError(reset=True)

    return _Upload(cut)


def slow_upload(size: int, *, seconds: float) -> Switch:
    """Take the request's body in pieces of *size* bytes, pausing *seconds* after each."""

    def slowly(pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            for begin in range(0, len(piece), size):
                yield piece[begin : begin + size]
                time.sleep(seconds)

    return _Upload(slowly)


def headers(**changes: str | None) -> Switch:
    """Set headers of the answer (`Docker_Content_Digest="sha256:…"`, `Link="…"`), or remove them with None."""
    return _Change(answer=lambda _, answer: answer.with_headers(**changes))


def location(change: Callable[[str], str | None]) -> Switch:
    """Change the answer's Location with a function of it; None removes it."""
    return _Change(answer=lambda _, answer: answer.with_headers(Location=change(answer.header("location") or "")))


def relative_location() -> Switch:
    """Make the answer's Location a path without scheme and host."""
    return location(lambda url: "/" + url.split("/", 3)[3])


def refuse_mount() -> Switch:
    """Answer a mount with an upload session: 202 instead of 201."""
    return _Change(request=lambda request: replace(request, target=request.path) if "mount=" in request.target else request)


def no_ranges() -> Switch:
    """Ignore Range, as registries may: the answer is 200 with everything."""
    return _Change(request=lambda request: replace(request, headers=changed(request.headers, {"Range": None})))


def shifted_ranges(by: int = 1) -> Switch:
    """Send other bytes than those that Range asks for, and say so."""

    def shift(text: str) -> str:
        begin, end = text.removeprefix("bytes=").split("-")
        return f"bytes={int(begin) + by}-{int(end) + by if end else ''}"

    return _Change(
        request=lambda request: (
            replace(request, headers=changed(request.headers, {"Range": shift(request.header("range") or "")})) if request.header("range") else request
        )
    )


def mounts_what_it_has_not() -> Switch:
    """Say to have mounted a blob, whichever, and do nothing."""
    said = plain_answer(201, headers={"Location": "/v2/x/blobs/sha256:0", "Docker-Content-Digest": "sha256:" + "0" * 64})
    return _Change(request=lambda request: said if "mount=" in request.target else request)


def no_head() -> Switch:
    """Know no HEAD."""
    return status(405)


def no_digest_header() -> Switch:
    """Leave the digest out of every answer."""
    return headers(Docker_Content_Digest=None)


def gzipped() -> Switch:
    """Compress the answer's body on its way, unasked."""

    def compressed(request: Request, answer: Answer) -> Answer:
        raw = gzip.compress(b"".join(answer.body()), mtime=0)
        changed_answer = answer.with_headers(Content_Encoding="gzip", Content_Length=str(len(raw)))
        return replace(changed_answer, body=lambda: iter((raw,)))

    return _Change(answer=compressed)


def chunk_min_length(size: int) -> Switch:
    """Ask, with each session, for chunks of at least *size* bytes."""
    return headers(OCI_Chunk_Min_Length=str(size))


class BodyLimit(Switch):
    """Refuse larger request bodies, as a proxy before a registry does."""

    early = True

    def __init__(self, size: int) -> None:
        """Refuse over *size* bytes."""
        self._size = size

    def request(self, request: Request) -> Request | Answer:
        """Refuse."""
        too_large = int(request.header("content-length") or "0") > self._size
        return plain_answer(413, b"<html>413 Request Entity Too Large</html>", {"Content-Type": "text/html"}) if too_large else request


def loses_chunks() -> Switch:
    """Report only the first chunk in Range."""
    return headers(Range="0-0")


def immutable_tag(code: int = 400) -> Switch:
    """Refuse to move a tag."""
    message = "The image tag '1' already exists in the repository and cannot be overwritten because the tag is immutable."
    return Respond(code, {"errors": [{"code": "TAG_INVALID", "message": message}]})


def quota_spent(code: int = 403) -> Switch:
    """Refuse because a quota is exceeded."""
    message = "adding 1.0 MiB of storage resource, which when updated to current usage of 9 MiB will exceed the configured upper limit of 10.0 MiB."
    return Respond(code, {"errors": [{"code": "DENIED", "message": message}]})


def to_object_storage(host: str) -> Switch:
    """Redirect blob reads to a presigned URL on another host."""
    return _Change(request=lambda request: plain_answer(307, headers={"Location": f"http://{host}{request.path}?X-Amz-Signature=abc%2Fdef&X-Amz-Expires=60"}))


class MissingRepository(Switch):
    """Know no repository until it is `made`: a push is answered 404."""

    def __init__(self, message: str = "the repository does not exist") -> None:
        """Answer with *message*."""
        self.made = False
        self._message = message

    def request(self, request: Request) -> Request | Answer:
        """Let through what is made."""
        if self.made or request.method not in {"POST", "PUT", "PATCH"}:
            return request
        return plain_answer(404, json.dumps({"errors": [{"code": "NAME_UNKNOWN", "message": self._message}]}).encode())


def _raise_reset(_request: Request, _answer: Answer) -> Answer:
    raise CutError(reset=True)


def _cut_at(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield exactly *size* bytes."""
    while size > 0:
        piece = next(pieces, None)
        if piece is None:
            return
        yield piece[:size]
        size -= len(piece)
