"""What changes while a page is open, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from werkzeug.exceptions import HTTPException, ServiceUnavailable
from werkzeug.wrappers import Request, Response

from imgsync.concurrency.greenlets import Event
from imgsync.serve.web.access import Access
from imgsync.serve.web.answers import answer_stream
from imgsync.serve.web.overview import describe_progress
from imgsync.serve.web.parts import WebParts
from imgsync.text.sanitize import sanitize_short

STREAMS_LIMIT = 64
_KIND = "text/event-stream; charset=utf-8"
_LOOK_SECONDS = 1.0
# A page that was left is noticed by the second one.
_HEARTBEAT_SECONDS = 4.0
# A browser connects again by itself; a login may have ended meanwhile.
_LONGEST_SECONDS = 1800.0


class LiveStreams:
    """Sends to at most `STREAMS_LIMIT` pages how far things are."""

    def __init__(self, parts: WebParts, access: Access) -> None:
        """Begin without streams."""
        self._parts = parts
        self._access = access
        self._closing = Event()
        self._open = 0
        self._made = ("", -1.0)

    @property
    def count(self) -> int:
        """Return how many streams are open."""
        return self._open

    def close(self) -> None:
        """End every stream."""
        self._closing.set()

    def stream(self, request: Request) -> Response:
        """
        Return a stream of events.

        Raises:
            ServiceUnavailable: There are too many.
        """
        if request.method == "HEAD":
            return answer_stream((), kind=_KIND)
        if self._open >= STREAMS_LIMIT or self._closing.is_set():
            raise ServiceUnavailable("too many pages are open")
        self._open += 1
        response = answer_stream(self._iter_events(request), kind=_KIND)
        response.call_on_close(self._leave)
        return response

    def _leave(self) -> None:
        self._open -= 1

    def _iter_events(self, request: Request) -> Iterator[str]:
        now = self._parts.clock.monotonic
        ends, sent_at, sent = now() + _LONGEST_SECONDS, now(), self._describe()
        yield f"retry: 3000\ndata: {sent}\n\n"
        while not self._closing.wait(_LOOK_SECONDS) and now() < ends and self._may_read(request):
            current = self._describe()
            if current != sent:
                sent, sent_at = current, now()
                yield f"data: {sent}\n\n"
            elif now() - sent_at > _HEARTBEAT_SECONDS:
                sent_at = now()
                yield ": still here\n\n"

    def _may_read(self, request: Request) -> bool:
        """Return whether its login still counts."""
        try:
            self._access.check_reading(request, by_program=True)
        except HTTPException:
            return False
        return True

    def _describe(self) -> str:
        """Return the state in JSON, made once for all streams."""
        now = self._parts.clock.monotonic()
        text, made_at = self._made
        if now - made_at > _LOOK_SECONDS / 2 or not text:
            text = json.dumps(self._make())
            self._made = text, now
        return text

    def _make(self) -> dict[str, Any]:
        running = self._parts.board.running
        run = None
        if running is not None:
            progress = describe_progress(running)
            images = [(self._show(name), size) for name, size in progress.images]
            run = {**asdict(progress), "id": self._show(running.order.id), "images": images}
        return {"version": self._parts.board.version, "run": run}

    def _show(self, text: str) -> str:
        return sanitize_short(self._parts.clean(text))
