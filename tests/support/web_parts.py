"""What the web application needs, with a test board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsync.config.model import Config, RegistriesConfig
from imgsync.config.secrets import Secret
from imgsync.config.serve_settings import ServeSettings
from imgsync.serve.events.model import Reply
from imgsync.serve.inbox import Inbox
from imgsync.serve.web.parts import WebParts
from tests.support.board import FixedClock, TestBoard
from tests.support.web_server import TOKEN


def hide_secret(text: str) -> str:
    """Return *text* without the one secret."""
    return text.replace("s3cr3t-of-a-registry", "***")


def raise_error(error: BaseException) -> None:
    """Raise what the application raised."""
    raise error


class TickingClock(FixedClock):
    """A fixed time of day, and seconds that pass."""

    def monotonic(self) -> float:
        """Return seconds."""
        import time

        return time.monotonic()


def make_parts(board: TestBoard, *, token: str = TOKEN, private: bool = False, hosts: tuple[str, ...] = (), loopback: bool = True, **more: Any) -> WebParts:
    """Return parts that show *board*; *more* replaces some."""
    settings = ServeSettings(Secret(token) if token else None, private, tuple(hosts))

    def receive(name: str, path_secret: str, headers: Mapping[str, str], body: bytes) -> Reply:
        return Reply(202, "accepted") if path_secret == "secret" else Reply(404, "unknown sender, or its secret or signature is wrong")

    values: dict[str, Any] = {
        "board": board,
        "inbox": Inbox(),
        "clock": TickingClock(),
        "get_settings": lambda: settings,
        "get_config": lambda: Config((), RegistriesConfig()),
        "receive_event": receive,
        "is_alive": lambda: True,
        "explain_not_ready": lambda: "",
        "clean": hide_secret,
        "on_error": raise_error,
        "is_loopback": loopback,
    }
    return WebParts(**{**values, **more})
