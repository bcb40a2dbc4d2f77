"""Logins of people: a token is exchanged for a session, which ends."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque

from imgsync.config.secrets import Secret
from imgsync.serve.clock import Clock
from imgsync.system.dataclass import dataclass

SESSION_SECONDS = 12 * 3600
_MAX_SESSIONS = 100
_WINDOW_SECONDS = 60.0
_MAX_FAILURES = 100
_MAX_FAILURES_OF_ADDRESS = 10
_MAX_KNOWN = 256


@dataclass(frozen=True, slots=True)
class Session:
    """
    A person that is logged in.

    `csrf` is in each form. `made_for` is a digest of the token, so that another token ends the session.
    """

    csrf: str
    ends: float
    made_for: bytes


class Sessions:
    """The sessions of this process; a restart ends them all."""

    def __init__(self, clock: Clock) -> None:
        """Begin without sessions."""
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def begin(self, token: Secret) -> str:
        """Return the id of a new session, which may end the oldest."""
        while len(self._sessions) >= _MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        name = secrets.token_urlsafe(32)
        self._sessions[name] = Session(secrets.token_urlsafe(32), self._clock.monotonic() + SESSION_SECONDS, hash_text(token.reveal()))
        return name

    def find(self, name: str, token: Secret | None) -> Session | None:
        """Return the session *name*, None if it ended or is unknown."""
        session = self._sessions.get(name)
        if session is None:
            return None
        if token is None or session.ends < self._clock.monotonic() or session.made_for != hash_text(token.reveal()):
            self.end(name)
            return None
        return session

    def end(self, name: str) -> None:
        """End the session *name*, if there is one."""
        self._sessions.pop(name, None)


class Attempts:
    """
    Limits how often a wrong token can be given.

    Ten times a minute from one address, a hundred times from all. The second does not hold for an address that gave the right one before.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with no failures."""
        self._clock = clock
        self._failures: deque[tuple[float, str]] = deque()
        self._known: dict[str, None] = {}

    def is_allowed(self, address: str) -> bool:
        """Return whether *address* may try now."""
        begin = self._clock.monotonic() - _WINDOW_SECONDS
        while self._failures and self._failures[0][0] < begin:
            self._failures.popleft()
        if len(self._failures) >= _MAX_FAILURES and address not in self._known:
            return False
        return sum(one == address for _, one in self._failures) < _MAX_FAILURES_OF_ADDRESS

    def add_failure(self, address: str) -> None:
        """Count a wrong token from *address*."""
        self._failures.append((self._clock.monotonic(), address))

    def add_success(self, address: str) -> None:
        """Remember that *address* has the token."""
        self._known.pop(address, None)
        self._known[address] = None
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]


def is_token(given: str, token: Secret) -> bool:
    """Return whether *given* is *token*, in constant time."""
    return token.reveal() != "" and hmac.compare_digest(hash_text(given), hash_text(token.reveal()))


def hash_text(text: str) -> bytes:
    """Return the SHA-256 of *text*."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
