"""What a registry is asked and what it answers, as values; `transport` sends the one and gives the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from imgsync.oci.errors import Operation

# Of an answer that nobody expects to be long; of an error as much is read.
LARGEST_ANSWER_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request: what for, method, and a path below the registry or a whole URL it named.

    `scopes` are what a token must allow, `accept` the statuses that are answers rather than errors. A `body` of bytes
    may be sent again; an iterator is sent once, `length_bytes` long. `secrets`, if given, are headers that say who we are
    instead of an answer to a challenge; no other host sees them. `pulls` says that registries may count it as a pull, `expects` that the
    body is large enough to ask first whether it is wanted: a refusal then costs none of it, and a token refused is replaced; `commits` that the
    registry may have much to do before it answers.
    """

    operation: Operation
    method: str
    target: str
    scopes: tuple[str, ...] = ()
    accept: frozenset[int] = frozenset({200})
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] | None = None
    length_bytes: int | None = None
    limit_bytes: int = LARGEST_ANSWER_BYTES
    secrets: Mapping[str, str] | None = field(default=None, repr=False)
    pulls: bool = False
    expects: bool = False
    commits: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: status, headers (names in lower case, first value), body, and the URL that finally gave it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer whose body is still to be read, as sent, from `chunks`."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
