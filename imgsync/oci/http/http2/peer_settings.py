"""What a server says of itself in its settings."""

from __future__ import annotations

from imgsync.oci.http.http2 import frames
from imgsync.oci.http.http2.errors import ConnectionBrokenError, ErrorCode
from imgsync.oci.http.http2.header_table import TABLE_BYTES
from imgsync.system.dataclass import dataclass

DEFAULT_WINDOW = (64 << 10) - 1


@dataclass(slots=True)
class PeerSettings:
    """
    The settings of a server; the defaults hold until it sends some.

    Attributes:
        stream_limit: The most exchanges at once.
        window: The first window of each exchange, for request bodies.
        frame_bytes: The largest payload of a frame.
        table_bytes: The largest table of header fields that it keeps for us.
        are_known: Whether the server has sent its settings.
    """

    stream_limit: int
    window: int = DEFAULT_WINDOW
    frame_bytes: int = frames.FRAME_BYTES
    table_bytes: int = TABLE_BYTES
    are_known: bool = False

    def update(self, payload: bytes) -> None:
        """
        Read a settings frame.

        Raises:
            ConnectionBrokenError: A value is not allowed.

        Spec: RFC 9113, section 6.5.2.
        """
        self.are_known = True
        for identifier, value in frames.read_settings(payload):
            if identifier == frames.MAX_CONCURRENT_STREAMS:
                self.stream_limit = value
            elif identifier == frames.INITIAL_WINDOW_SIZE:
                if value > frames.LARGEST_WINDOW:
                    raise ConnectionBrokenError(ErrorCode.FLOW_CONTROL_ERROR, f"a window of {value} bytes")
                self.window = value
            elif identifier == frames.MAX_FRAME_SIZE:
                if not frames.FRAME_BYTES <= value <= frames.LARGEST_FRAME_BYTES:
                    raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, f"frames of {value} bytes")
                # Larger frames would let one body hold up the others.
                self.frame_bytes = frames.FRAME_BYTES
            elif identifier == frames.HEADER_TABLE_SIZE:
                self.table_bytes = value
            elif identifier == frames.ENABLE_PUSH and value != 0:
                raise ConnectionBrokenError(ErrorCode.PROTOCOL_ERROR, "the server enables push")
