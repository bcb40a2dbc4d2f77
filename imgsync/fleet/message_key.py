"""
Sign messages with a key that the broker never sees.

Who can write to the queues cannot make a batch or an answer without it. An old message can still be sent again: its age and its run are checked elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import field

from imgsync.system.dataclass import dataclass

HEADER = "imgsync-hmac-sha256"


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What all machines share; without a secret nothing is signed."""

    secret: bytes = field(default=b"", repr=False)

    def sign(self, body: bytes) -> dict[str, str]:
        """Return the headers of the message *body*."""
        return {HEADER: self._compute(body)} if self.secret else {}

    def accepts(self, headers: Mapping[str, object] | None, body: bytes) -> bool:
        """Return whether *body* is signed as this key demands."""
        given = (headers or {}).get(HEADER)
        if not self.secret:
            # What is signed is not for this machine, and its answer would not be accepted.
            return given is None
        return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), self._compute(body).encode())

    def _compute(self, body: bytes) -> str:
        return hmac.new(self.secret, body, hashlib.sha256).hexdigest()
