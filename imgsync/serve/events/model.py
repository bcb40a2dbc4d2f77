"""What is received, what it says, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from imgsync.system.dataclass import dataclass

BODY_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request; the names of its headers are in lower case."""

    headers: Mapping[str, str] = field(repr=False)
    path_secret: str = field(repr=False)
    body: bytes = field(repr=False)

    def get(self, name: str) -> str:
        """Return the header *name*, in lower case; "" if there is none."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Change:
    """
    What an event says has changed; not checked yet.

    `tag` "" stands for the whole repository. `registry` is only compared with ours, "" if the event does not name one.
    """

    repository: str
    tag: str = ""
    registry: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and why, without words of the request."""

    status: int
    reason: str
