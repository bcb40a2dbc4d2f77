"""Check what is taken from events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from fuzz.laws.shared import DATE
from imgsync.config.secrets import Secret
from imgsync.config.serve_settings import EventSettings
from imgsync.oci.spec.reference import is_repository_path, is_tag
from imgsync.serve.events.google_keys import GoogleKeys
from imgsync.serve.events.proofs import sign
from imgsync.serve.events.receiver import EventReceiver
from imgsync.serve.events.senders import SENDER_TYPES
from imgsync.serve.inbox import Inbox
from imgsync.serve.views import EventCounts

_REGISTRY = "registry.internal:5000"
_SECRET = "a secret of thirty-two characters"  # noqa: S105 - of this law alone


def events(data: bytes) -> None:
    """
    Check events of every type: the type, then headers and the body.

    A sender with the secret gets an answer, and hints only of our registry and of valid names. Without the secret there is no hint. The same event again
    gives no other hint.
    """
    kind, headers, body = split_event(data)
    inbox = Inbox()
    receiver = _make_receiver(kind, inbox)
    for name in ("one", "other", kind):
        assert receiver.receive(name, "", headers, body).status == (404 if len(body) <= 1 << 20 else 413)
    assert not inbox.take_hints()
    assert not inbox.take_look()
    proofs = {"authorization": f"Bearer {_SECRET}", "x-hub-signature-256": f"sha256={sign(_SECRET, body)}", "x-gitlab-token": _SECRET}
    reply = receiver.receive("one", _SECRET, {**headers, **proofs}, body)
    assert reply.status in {200, 202, 400, 413}
    hints = inbox.take_hints()
    assert len(hints) <= 200
    assert (reply.status == 202) == bool(hints or inbox.take_look())
    for hint in hints:
        assert hint.registry == _REGISTRY
        assert is_repository_path(hint.repository) or (not hint.repository and not hint.tag)
        assert not hint.tag or is_tag(hint.tag)
    again = receiver.receive("one", _SECRET, {**headers, **proofs}, body)
    assert again.status in ({200, 202} if reply.status == 202 else {reply.status})
    assert set(inbox.take_hints()) <= set(hints)
    _check_token(headers, body)


def split_event(data: bytes) -> tuple[str, Mapping[str, str], bytes]:
    """Return type, headers and body of an input of the corpus."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    named = (line.partition(":") for line in lines)
    return first if first in SENDER_TYPES else "generic", {name.strip(): value.strip() for name, _, value in named}, body


def _make_receiver(kind: str, inbox: Inbox, *, audience: str = "") -> EventReceiver:
    secret = None if audience else Secret(_SECRET)
    settings = EventSettings(kind, "" if kind == "git" else _REGISTRY, secret, audience, "push@project.iam.gserviceaccount.com" if audience else "")
    counts: dict[str, EventCounts] = {}
    return EventReceiver(
        {"one": settings}, inbox, select=lambda _: True, counts=counts, clock=_Clock(), log=_Log(), keys=GoogleKeys(_Clock(), _refuse_to_fetch)
    )


def _check_token(headers: Mapping[str, str], body: bytes) -> None:
    """Check that no text is a token of Google, unless Google signed it."""
    inbox = Inbox()
    receiver = _make_receiver("pubsub", inbox, audience="https://imgsync.company.com/events/one")
    for token in (body.decode("latin-1"), headers.get("Authorization", "")):
        assert receiver.receive("one", "", {"Authorization": f"Bearer {token}"}, body).status in {404, 413, 503}
    assert not inbox.take_hints()


def _refuse_to_fetch() -> bytes:
    raise ValueError("no keys")


class _Clock:
    def now(self) -> datetime:
        return DATE.astimezone(UTC)

    def monotonic(self) -> float:
        return 1000.0


class _Log:
    def _ignore(self, event: str, **fields: object) -> None:
        pass

    debug = info = warning = error = _ignore
