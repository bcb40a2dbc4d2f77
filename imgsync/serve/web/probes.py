"""`/healthz` and `/readyz`, for what watches over this process."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from imgsync.serve.web.answers import answer_text
from imgsync.serve.web.parts import WebParts


class Probes:
    """Answers that need no login, and tell nothing about mirrors."""

    def __init__(self, parts: WebParts) -> None:
        """Ask *parts*."""
        self._parts = parts

    def show_health(self, _: Request) -> Response:
        """Return 200 if the loop moves."""
        return answer_text("ok\n") if self._parts.is_alive() else answer_text("the loop does not move\n", 503)

    def show_readiness(self, _: Request) -> Response:
        """Return 200 if runs can begin."""
        reason = self._parts.explain_not_ready()
        return answer_text(f"{reason}\n", 503) if reason else answer_text("ready\n")
