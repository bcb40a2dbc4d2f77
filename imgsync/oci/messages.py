"""Requests to a registry and its responses, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from imgsync.oci.errors import Operation
from imgsync.oci.spec.media_types import normalize_media_type
from imgsync.system.chunk import Chunk
from imgsync.system.dataclass import dataclass

# The limit for responses that should be short, and for the text of errors.
NO_SUCH_RANGE = 416
DEFAULT_LIMIT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class RegistryRequest:
    """
    One request to a registry.

    Args:
        operation: What the request is for; the subject of its errors.
        method: The HTTP method.
        target: A path below the registry, or a whole URL that the registry named.
        scopes: What a token must allow.
        accept_statuses: The statuses that are results; all others raise an error.
        headers: More headers than those of every request.
        body: Bytes, which may be sent again, or an iterable, which is sent once.
        length_bytes: The length of an iterable body.
        limit_bytes: The most that is read of the response's body.
        auth_headers: Headers with credentials, sent to the registry's origin only; they replace the response to a challenge.
        counts_as_pull: Whether registries may count the request against a pull limit.
        expect_continue: Whether to wait for "100 Continue" before a large body is sent, so that a refusal or a new token costs no upload.
        closes_upload: Whether the registry may have to copy a whole blob before it answers.
        expected_bytes: The length of the response's body, 0 if it is short or unknown.
    """

    operation: Operation
    method: str
    target: str
    scopes: tuple[str, ...] = ()
    accept_statuses: frozenset[int] = frozenset({200})
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[Chunk] | None = None
    length_bytes: int | None = None
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    auth_headers: Mapping[str, str] | None = field(default=None, repr=False)
    counts_as_pull: bool = False
    expect_continue: bool = False
    closes_upload: bool = False
    expected_bytes: int = 0

    @property
    def moved_bytes(self) -> int:
        """Return the length of the longer body, 0 if unknown."""
        return max(self.expected_bytes, self.length_bytes or 0)


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """A whole response, with header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def media_type(self) -> str | None:
        """Return the media type of the body, None if unnamed."""
        return normalize_media_type(self.headers.get("content-type", "")) or None


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """A response with its raw body unread."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[Chunk]
