"""Limit what a server may make us do for nothing."""

from __future__ import annotations

from imgsync.oci.http.http2.errors import ConnectionBrokenError, ErrorCode

# Frames that bring no exchange forward. Each may cost us more than the server.
_FRAMES = 10_000
# What one request pays for: pings and windows beside it, and what is on its way if its body is cancelled.
_FRAMES_PER_REQUEST = 256
_BYTES_PER_FRAME = 256
# A server that reads nothing could otherwise fill our memory.
_UNSENT_ANSWERS = 1000


class FloodLimit:
    """
    Counts the frames of one connection against its content.

    Content pays for a few frames only, so a byte now and then does not hide a flood.
    """

    def __init__(self) -> None:
        """Allow a full count of frames."""
        self._frames = _FRAMES
        self._unsent_answers = 0

    def note_frame(self) -> None:
        """
        Count a frame of the server.

        Raises:
            ConnectionBrokenError: Too many came without content.
        """
        self._frames -= 1
        if self._frames < 0:
            raise ConnectionBrokenError(ErrorCode.ENHANCE_YOUR_CALM, "too many frames without content")

    def note_request(self) -> None:
        """Allow the frames that one request may bring."""
        self._frames = min(_FRAMES, self._frames + _FRAMES_PER_REQUEST)

    def note_content(self, size: int) -> None:
        """Allow the frames that *size* bytes of a body pay for."""
        if size:
            self._frames = min(_FRAMES, self._frames + 1 + size // _BYTES_PER_FRAME)

    def note_answer(self) -> None:
        """
        Count an answer that waits to be sent.

        Raises:
            ConnectionBrokenError: Too many wait.
        """
        self._unsent_answers += 1
        if self._unsent_answers > _UNSENT_ANSWERS:
            raise ConnectionBrokenError(ErrorCode.ENHANCE_YOUR_CALM, "more pings and settings than it reads answers")

    def note_sent(self) -> None:
        """Count the answers again from none."""
        self._unsent_answers = 0
