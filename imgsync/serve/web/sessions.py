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
_MAX_WRONG = 20


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


class WrongTokens:
    """
    Counts the wrong tokens of the last minute.

    The right token is accepted in any case: behind a proxy all clients have one address, so one that guesses would lock out the others. 32 characters
    cannot be guessed.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock = clock
        self._moments: deque[float] = deque(maxlen=_MAX_WRONG)

    def add(self) -> bool:
        """Count one; return whether too many came."""
        now = self._clock.monotonic()
        is_many = len(self._moments) == _MAX_WRONG and self._moments[0] > now - _WINDOW_SECONDS
        self._moments.append(now)
        return is_many


def is_token(given: str, token: Secret) -> bool:
    """Return whether *given* is *token*, in constant time."""
    return token.reveal() != "" and hmac.compare_digest(hash_text(given), hash_text(token.reveal()))


def hash_text(text: str) -> bytes:
    """Return the SHA-256 of *text*."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
