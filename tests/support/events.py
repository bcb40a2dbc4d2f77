"""Events as senders send them, and a receiver that shows what came of them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fuzz.laws.events import split_event
from fuzz.run import CORPUS
from imgsync.config.secrets import Secret
from imgsync.config.serve_settings import EventSettings
from imgsync.serve.events.model import Reply
from imgsync.serve.events.receiver import EventReceiver
from imgsync.serve.inbox import Inbox
from imgsync.serve.model import Hint
from imgsync.serve.views import EventCounts

SECRET = "0123456789abcdef0123456789abcdef"
REGISTRY = "registry.internal:5000"


class ManualClock:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.seconds


class ListLog:
    """A log kept as a list of events and their fields."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def add(self, event: str, **fields: object) -> None:
        """Keep one line."""
        self.lines.append((event, fields))

    info = warning = error = add

    def debug(self, event: str, **fields: object) -> None:
        """Drop it, as the default level does."""


class Receiver:
    """An EventReceiver with all that it needs."""

    def __init__(self, kind: str = "distribution", *, registry: str = REGISTRY, selects: bool = True, may_act: bool = True, **settings: str) -> None:
        self.inbox, self.clock, self.log = Inbox(), ManualClock(), ListLog()
        self.counts: dict[str, EventCounts] = {}
        secret = None if "audience" in settings else Secret(SECRET)
        one = EventSettings(kind, "" if kind == "git" else registry, secret, **settings)
        self.seen: list[Hint] = []
        self.receiver = EventReceiver(
            {"one": one}, self.inbox, select=self._select, counts=self.counts, clock=self.clock, log=self.log, may_act=lambda: may_act
        )
        self._selects = selects

    def _select(self, hint: Hint) -> bool:
        self.seen.append(hint)
        return self._selects

    def send(self, document: object, *, name: str = "one", path: str = "", headers: Mapping[str, str] | None = None) -> Reply:
        """Send a document, or bytes, as they are."""
        return self.receiver.receive(name, path, headers or {}, encode(document))

    def prove(self, document: object, **headers: str) -> Reply:
        """Send a document with the secret in every place where one can be."""
        body = encode(document)
        proofs = {"Authorization": f"Bearer {SECRET}", "X-Hub-Signature-256": sign(body), "X-Gitlab-Token": SECRET}
        return self.receiver.receive("one", SECRET, proofs | {name.replace("_", "-"): value for name, value in headers.items()}, body)

    def hints(self) -> list[str]:
        """Return what the inbox holds, as REPOSITORY:TAG, and forget it."""
        hints = self.inbox.take_hints()
        assert all(hint.registry == REGISTRY for hint in hints)
        return [f"{hint.repository}:{hint.tag}" if hint.tag else hint.repository for hint in hints]


def read_sample(name: str) -> tuple[str, Mapping[str, str], bytes]:
    """Return type, headers and body of an event of the corpus of fuzzing."""
    return split_event((CORPUS / "events" / name).read_bytes())


def encode(document: object) -> bytes:
    """Return the body of a document."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def sign(body: bytes, secret: str = SECRET) -> str:
    """Return the signature that GitHub sends."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def pushed(repository: str = "team/app", tag: str = "1.0", *, number: int = 1) -> dict[str, object]:
    """Return the envelope that docker-registry sends for a pushed tag."""
    target = {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "size": 708,
        "digest": f"sha256:{number:064x}",
        "length": 708,
        "repository": repository,
        "url": f"http://registry.internal:5000/v2/{repository}/manifests/sha256:{number:064x}",
        "tag": tag,
    }
    return {"events": [{"id": f"asdf-{number}", "timestamp": "2026-01-01T00:00:00Z", "action": "push", "target": target, "request": {"method": "PUT"}}]}
