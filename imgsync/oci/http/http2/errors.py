"""Errors of HTTP/2 connections and streams."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """
    The codes of resets and goaways.

    Spec: RFC 9113, section 7.
    """

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def name_code(code: int) -> str:
    """Return the name of an error code that a server sent."""
    return ErrorCode(code).name if code in ErrorCode.__members__.values() else f"error {code}"


class ConnectionBrokenError(Exception):
    """The server broke the protocol; the connection cannot be used any longer."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class MalformedResponseError(Exception):
    """The server sent a malformed response; the other streams are not affected."""
