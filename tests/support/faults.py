"""
A proxy before a real registry that records everything and injects faults.

Without a switch it forwards faithfully. The client's Host header is forwarded unchanged, so that the registry's absolute Locations lead back here.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tests.support.canary import CANARY
from tests.support.listener import Listener
from tests.support.shaken import hold_up
from tests.support.wire import Answer, Connection, CutError, PeerGoneError, Request, changed, plain_answer
from tests.switches import Hold, Switch

_KEPT_BODY = 1 << 16
# How long a connection may outlive who opened it.
_GONE_SECONDS = 30.0


@dataclass(slots=True)
class Recorded:
    """
    One request: method, target, lower-case headers, bytes each way, status.

    `began` and `ended` are monotonic nanoseconds, comparable between proxies; `ended` is None while it runs.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    began: int
    ended: int | None = None
    status: int | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    body: bytes = b""

    @property
    def path(self) -> str:
        """Return the target without its query."""
        return self.target.partition("?")[0]

    def received(self, size: int) -> None:
        """Count bytes of body that went to the client."""
        self.bytes_down += size

    def end(self) -> None:
        """Note the end, once."""
        self.ended = self.ended or time.monotonic_ns()

    def __str__(self) -> str:
        """`GET /v2/ 200`."""
        return f"{self.method} {self.target} {self.status}"


@dataclass(slots=True)
class _Rule:
    """A switch and where it applies; `seen` counts matching requests."""

    switch: Switch
    method: re.Pattern[str]
    target: re.Pattern[str]
    nth: frozenset[int] | None
    chance: float = 1
    seed: int = 0
    seen: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def applies(self, request: Request) -> bool:
        if not self.method.fullmatch(request.method) or not self.target.search(request.target):
            return False
        with self.lock:
            self.seen += 1
            # Decided by the count alone, so that a seed means the same however the requests interleave.
            is_hit = self.chance >= 1 or random.Random(f"{self.seed} {self.seen}").random() < self.chance
            return is_hit and (self.nth is None or self.seen in self.nth)


class FaultProxy(Listener):
    """A proxy before *upstream* (HOST:PORT); without one it answers 404."""

    def __init__(self, upstream: object, *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        """Listen at once; connections are answered when the block is entered."""
        super().__init__(address)
        self._upstream = None if upstream is None else str(upstream)
        self._tls = tls
        self._rules: list[_Rule] = []
        self._requests: list[Recorded] = []
        self._open: set[Connection] = set()
        # The most connections that were open at one time.
        self.most_open = 0
        CANARY.serves(self)

    @property
    def url(self) -> str:
        """Return the URL without a trailing slash."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def __exit__(self, *_: object) -> None:
        """Stop answering; release held requests and close connections."""
        self.clear()
        super().__exit__()
        for connection in list(self._open):
            connection.close()

    def add(
        self,
        switch: Switch,
        *,
        method: str = ".*",
        target: str = "",
        nth: int | tuple[int, ...] | None = None,
        times: int | None = None,
        chance: float = 1,
        seed: int = 0,
    ) -> Switch:
        """
        Apply *switch* to matching requests; return it.

        Method and target (path and query, searched) must match. `nth` picks the matching requests, counted from 1; `times` the first ones; `chance` (0 to 1)
        random ones, the same for the same *seed*. Otherwise it applies to all. Several switches apply in the order they were added.
        """
        chosen = frozenset(range(1, times + 1)) if times is not None else None
        if nth is not None:
            chosen = frozenset({nth} if isinstance(nth, int) else nth)
        self._rules.append(_Rule(switch, re.compile(method), re.compile(target), chosen, chance, seed))
        return switch

    def add_first(self, switch: Switch, *, target: str) -> None:
        """Apply *switch* before those that were added earlier."""
        self.add(switch, target=target)
        self._rules.insert(0, self._rules.pop())

    def clear(self) -> None:
        """Take every switch away; what is held is let go."""
        rules, self._rules = self._rules, []
        for rule in rules:
            if isinstance(rule.switch, Hold):
                rule.switch.release()

    def settle(self) -> None:
        """Wait until all requests of ended clients were handled."""
        ends = time.monotonic() + _GONE_SECONDS
        while self._open:
            assert time.monotonic() < ends, "a connection of somebody who is gone stays open"
            time.sleep(0.002)

    @property
    def seen(self) -> list[Recorded]:
        """Return the requests in the order they came."""
        return list(self._requests)

    def recorded(self, pattern: str = "", *, query: bool = True) -> list[Recorded]:
        """Return the requests whose `METHOD target` matches *pattern*."""
        return [one for one in self._requests if re.search(pattern, f"{one.method} {one.target if query else one.path}")]

    def requests(self, pattern: str = "") -> list[str]:
        """Return matching requests as `METHOD /path`, in their order."""
        return [f"{one.method} {one.path}" for one in self.recorded(pattern, query=False)]

    def forget(self) -> None:
        """Drop the recorded requests, after searching them for credentials."""
        CANARY.received(self)
        self._requests = []

    def everything(self) -> str:
        """Return all received heads and beginnings of bodies."""
        return "\n".join(f"{one.method} {one.target} {one.headers} {one.body.decode('latin-1')}" for one in self._requests)

    def _serve(self, sock: socket.socket) -> None:
        reset = False
        connection = Connection(sock)
        self._open.add(connection)
        self.most_open = max(self.most_open, len(self._open))
        try:
            if self._tls is not None:
                connection.sock = self._tls.wrap_socket(sock, server_side=True)
            while (request := connection.read_request()) is not None:
                if not self._exchange(connection, request):
                    break
        except CutError as cut:
            reset = cut.reset
        except (PeerGoneError, OSError):
            reset = True
        finally:
            self._open.discard(connection)
            connection.close(reset=reset)

    def _exchange(self, client: Connection, request: Request) -> bool:
        """Answer one request; return whether the connection can serve another."""
        hold_up()
        record = Recorded(request.method, request.target, {key.lower(): value for key, value in request.headers}, time.monotonic_ns())
        self._requests.append(record)
        switches = [rule.switch for rule in list(self._rules) if rule.applies(request)]
        body = _Recorder(client.body_of(request), record)
        with contextlib.ExitStack() as ends:
            answer = self._answer(request, body, switches, ends)
            record.status = answer.status
            for switch in switches:
                answer = switch.answer(request, answer)
            early = any(switch.early for switch in switches)
            if not early:
                body.drain()
            hold_up()
            try:
                client.send_answer(answer, head_only=request.method == "HEAD", on_bytes=record.received, on_end=record.end)
                unread = early and not record.bytes_up and (request.header("expect") or "").lower() == "100-continue"
                if early and not unread:
                    body.drain()
            finally:
                record.end()
        if unread:
            return False
        return answer.framing not in {"close", "raw"} and (answer.header("connection") or "").lower() != "close"

    def _answer(self, request: Request, body: _Recorder, switches: list[Switch], ends: contextlib.ExitStack) -> Answer:
        """Return the switches' answer, or the registry's."""
        for switch in switches:
            changed_or_answered = switch.request(request)
            if isinstance(changed_or_answered, Answer):
                return changed_or_answered
            request = changed_or_answered
        if self._upstream is None:
            return plain_answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"nothing here"}]}')
        pieces: Iterator[bytes] = body
        for switch in switches:
            pieces = switch.upload(pieces)
        return self._forward(request, pieces, ends)

    def _forward(self, request: Request, pieces: Iterator[bytes], ends: contextlib.ExitStack) -> Answer:
        host, _, port = (self._upstream or "").rpartition(":")
        upstream = Connection(socket.create_connection((host, int(port)), timeout=60))
        ends.callback(upstream.close)
        chunked = (request.header("transfer-encoding") or "").lower() == "chunked"
        upstream.send_request(replace(request, headers=changed(request.headers, {"Connection": "close", "Expect": None})))
        try:
            for piece in pieces:
                upstream.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            if chunked:
                upstream.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # The registry has answered without wanting the rest: its answer counts.
        answer = upstream.read_answer(request.method)
        return replace(answer, headers=changed(answer.headers, {"Connection": None}))


class _Recorder:
    """A request's body, counted and its beginning kept as it goes by."""

    def __init__(self, pieces: Iterator[bytes], record: Recorded) -> None:
        self._pieces = pieces
        self._record = record

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self._record.bytes_up += len(piece)
        if len(self._record.body) < _KEPT_BODY:
            self._record.body += piece
        return piece

    def drain(self) -> None:
        """Read what is left."""
        for _ in self:
            pass
