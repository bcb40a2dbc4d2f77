"""Show on a terminal that a command waits for registries."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from imgsync.cli.session import Session
from imgsync.system.terminal import can_redraw


@contextlib.contextmanager
def show_requests(session: Session, *, verb: str) -> Iterator[None]:
    """Show *verb*, requests and time on a terminal within the block."""
    if not session.common.progress or not can_redraw(sys.stderr):
        yield
        return
    # Imported now: only a terminal needs them.
    from imgsync.cli.progress_display import open_bars

    with open_bars(session, verb):
        yield
