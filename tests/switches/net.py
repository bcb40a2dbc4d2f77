"""Faults of the transport: lost, cut, late or misplaced answers."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from tests.support.wire import Answer, CutError, Request, plain_answer
from tests.switches import Switch, _Body, _Change


def reset_unheard() -> Switch:
    """Reset the connection before the registry gets the request."""

    def cut(_request: Request) -> Request:
        raise CutError(reset=True)

    return _Change(request=cut)


def close_after_each() -> Switch:
    """Close the connection after the answer, without having said so."""

    def whole(pieces: Iterator[bytes]) -> Iterator[bytes]:
        yield from pieces
        raise CutError(reset=False)

    return _Body(whole)


class HalfAnswer(Switch):
    """Let the registry act, then cut its answer in the middle."""

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Cut it."""
        body = b"".join(answer.body()) if request.method != "HEAD" else b""
        if not body:
            return Answer(answer.status, body=lambda: iter((b"HTTP/1.1 20",)), framing="raw")

        def half() -> Iterator[bytes]:
            yield body[: len(body) // 2]
            raise CutError(reset=False)

        return replace(answer, body=half)


class EarlyAnswer(Switch):
    """Answer an upload without reading its body, then reset or wait."""

    early = True

    def __init__(self, status: int, message: str, *, reset: bool) -> None:
        """Answer *status* with the error *message*."""
        body = json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()
        self._raw = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
        self._status = status
        self._reset = reset
        self._over = threading.Event()

    def request(self, request: Request) -> Request | Answer:
        """Answer."""
        return Answer(self._status, body=self._pieces, framing="raw")

    def release(self) -> None:
        """Close what is kept open."""
        self._over.set()

    def _pieces(self) -> Iterator[bytes]:
        yield self._raw
        if not self._reset:
            self._over.wait(30)
        raise CutError(reset=True)


class PresignedUrls(Switch):
    """Redirect blob reads to a new presigned URL each time."""

    def __init__(self, host: str) -> None:
        """Send to *host*."""
        self._host = host
        self._numbers = itertools.count(1)

    def request(self, request: Request) -> Request | Answer:
        """Redirect."""
        return plain_answer(307, headers={"Location": f"http://{self._host}{request.path}?X-Amz-Signature={next(self._numbers)}"})


def no_such_range() -> Switch:
    """Answer every range with 416."""
    return _Change(request=lambda request: plain_answer(416) if request.header("range") else request)


def glued(extra: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Switch:
    """Send extra bytes right after the answer."""
    return _Body(lambda pieces: iter((b"".join(pieces) + extra,)))


def slow_to_commit(seconds: float) -> Switch:
    """Delay the registry's answer by some seconds."""

    def late(_request: Request, answer: Answer) -> Answer:
        time.sleep(seconds)
        return answer

    return _Change(answer=late)


class OddLocations(Switch):
    """
    Name upload sessions by unusual Locations in turn, and find them again.

    Each form is (Location, path and query that must come back); `{host}` stands for the proxy, `{base}` for the folder of the POST.
    """

    def __init__(self, host: str, forms: Sequence[tuple[str, str]]) -> None:
        """Give *forms* in turn, on *host*."""
        self._host = host
        self._forms = iter(forms)
        self._real: dict[str, str] = {}
        # What was wanted of the requests that came, and what came.
        self.wanted: list[str] = []
        self.got: list[str] = []

    def request(self, request: Request) -> Request | Answer:
        """Lead what was sent to an odd place to the real one."""
        if request.method != "PUT" or "digest=" not in request.target:
            return request
        place, digest = request.target.rpartition("digest=")[::2]
        self.got.append(request.target)
        real = self._real[place[:-1]]
        self.wanted.append(f"{place[:-1]}{'&' if '?' in place[:-1] else '?'}digest={digest}")
        return replace(request, target=f"{real}{'&' if '?' in real else '?'}digest={digest}")

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Name another place."""
        if request.method != "POST" or answer.status != 202:
            return answer
        said, target = next(self._forms)
        base = request.path.rpartition("/")[0]
        self._real[target.format(base=base)] = "/" + (answer.header("location") or "").split("/", 3)[3]
        return answer.with_headers(Location=said.format(host=self._host, base=base))


def second_location(url: str, *, first: bool = False) -> Switch:
    """Give one more Location, before or after the registry's own."""

    def added(_request: Request, answer: Answer) -> Answer:
        extra = (("Location", url),)
        return replace(answer, headers=extra + answer.headers if first else answer.headers + extra)

    return _Change(answer=added)


class StoresNothing(Switch):
    """Say 201 to a manifest and keep nothing of it."""

    def request(self, request: Request) -> Request | Answer:
        """Say so."""
        return plain_answer(201) if request.method == "PUT" else request


class Lagging(Switch):
    """Serve a new manifest only after some time."""

    def __init__(self, seconds: float) -> None:
        """Lag by *seconds*."""
        self._seconds = seconds
        self._since: dict[str, float] = {}

    def request(self, request: Request) -> Request | Answer:
        """Know nothing of what is too new."""
        if request.method in {"GET", "HEAD"} and time.monotonic() - self._since.get(request.path, -1e9) < self._seconds:
            return plain_answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return request

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Note when it was put."""
        if request.method == "PUT" and answer.status == 201:
            self._since.setdefault(request.path, time.monotonic())
        return answer


def endless_error(status: int, *, piece: int = 1 << 16) -> Switch:
    """Answer an error whose words never end."""
    head = b"HTTP/1.1 %d No\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" % status
    endless = Answer(status, body=lambda: itertools.chain((head,), itertools.repeat(b"x" * piece)), framing="raw")
    return _Change(request=lambda _: endless)


def before_it_goes_on(act: Callable[[], object]) -> Switch:
    """Do something else first."""

    def acted(request: Request) -> Request:
        act()
        return request

    return _Change(request=acted)


def warns(text: str) -> Switch:
    """Add a warning to the answer."""
    return _Change(answer=lambda _, answer: replace(answer, headers=(*answer.headers, ("Warning", text))))
