"""What the web application needs of the rest of `imgsync serve`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from imgsync.config.model import Config
from imgsync.config.serve_settings import ServeSettings
from imgsync.serve.board import Board
from imgsync.serve.clock import Clock
from imgsync.serve.events.model import Reply
from imgsync.serve.inbox import Inbox
from imgsync.system.dataclass import dataclass


class ReceiveEvent(Protocol):
    """Takes what was posted to `/events/NAME[/SECRET]`."""

    def __call__(self, name: str, path_secret: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return the answer; *path_secret* is "" if the path has none."""


@dataclass(frozen=True, slots=True)
class WebParts:
    """
    What the pages and the API read, and whom they ask.

    Attributes:
        board: How everything stands.
        inbox: Takes what is asked for.
        clock: The time.
        get_settings: Returns who may do what; asked at each request, since a reload may change it.
        get_config: Returns the configuration in use, None before the first.
        receive_event: Takes events; None if another listener does.
        is_alive: Returns whether the loop moves.
        explain_not_ready: Returns why no work can be done, "" if it can.
        clean: Hides secrets in a text.
        on_error: Gets errors of the application itself.
        is_loopback: Whether only this machine can connect.
    """

    board: Board
    inbox: Inbox
    clock: Clock
    get_settings: Callable[[], ServeSettings]
    get_config: Callable[[], Config | None]
    receive_event: ReceiveEvent | None
    is_alive: Callable[[], bool]
    explain_not_ready: Callable[[], str]
    clean: Callable[[str], str]
    on_error: Callable[[BaseException], None]
    is_loopback: bool
