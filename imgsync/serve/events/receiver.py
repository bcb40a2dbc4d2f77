"""
Receive events: prove, parse, and pass hints on.

An event is a hint. Only the names of a repository and a tag are taken from it; the registry comes from our settings. No URL of an event is requested,
and no digest is believed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, MutableMapping

from imgsync.config.secrets import Secret
from imgsync.config.serve_settings import EventSettings
from imgsync.errors import UnsupportedContentError
from imgsync.logs.logger import Logger
from imgsync.serve.clock import Clock
from imgsync.serve.events.git_push import is_push
from imgsync.serve.events.google_keys import GoogleKeys, KeysUnavailableError
from imgsync.serve.events.google_tokens import has_token
from imgsync.serve.events.hints import take_hints
from imgsync.serve.events.model import BODY_LIMIT, Delivery, Reply
from imgsync.serve.events.proofs import Proof, sign
from imgsync.serve.events.recent import RecentDeliveries, make_key
from imgsync.serve.events.senders import SENDER_TYPES, SenderType
from imgsync.serve.inbox import Inbox
from imgsync.serve.model import Hint
from imgsync.serve.views import EventCounts

UNKNOWN_SENDER = "(unknown)"
"""The sender of events for names that are not configured."""

_LOG_SECONDS = 60.0
_SHOWN_EVENTS = 20


class EventReceiver:
    """Receives the events of all senders, in any greenlet."""

    def __init__(
        self,
        settings: Mapping[str, EventSettings],
        inbox: Inbox,
        *,
        select: Callable[[Hint], bool],
        counts: MutableMapping[str, EventCounts],
        clock: Clock,
        log: Logger,
        keys: GoogleKeys | None = None,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Receive events of the senders in *settings*, by name.

        *select* returns whether a mirror has what a hint names as its source. *counts* is kept up to date. *keys* are those of Google,
        by default fetched from there when they are first needed. *may_act* returns whether this process is the one that acts, of several.
        """
        self._inbox = inbox
        self._select = select
        self._counts = counts
        self._clock = clock
        self._log = log
        self._keys = keys or GoogleKeys(clock)
        self._may_act = may_act
        self._recent = RecentDeliveries(clock)
        self._shown = (0, 0)
        self._logged: dict[tuple[str, str], float] = {}
        self.replace_settings(settings)

    def replace_settings(self, settings: Mapping[str, EventSettings]) -> None:
        """Receive events of other senders from now on."""
        self._settings = dict(settings)
        for name in settings:
            self._counts.setdefault(name, EventCounts())
        # Takes the place of an unknown sender, so that its answer is the same and takes as long.
        self._decoy = EventSettings("generic", secret=Secret(secrets.token_hex(32)))

    def receive(self, name: str, path_secret: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """
        Return the answer to an event, `POST /events/NAME[/SECRET]`.

        Args:
            name: The sender's name, as in the path.
            path_secret: What follows it in the path, "" if nothing does.
            headers: The headers of the request.
            body: Its body, read by the caller up to one byte more than `BODY_LIMIT`.
        """
        if len(body) > BODY_LIMIT:
            return self._refuse(name, "too_large", Reply(413, "the event is larger than 1 MiB"))
        settings = self._settings.get(name, self._decoy)
        sender = SENDER_TYPES[settings.kind]
        delivery = Delivery({key.lower(): value for key, value in headers.items()}, path_secret, body)
        if (refusal := self._check(name, settings, delivery)) is not None:
            return refusal
        counts = self._counts[name]
        counts.last_at = self._clock.now()
        key = _identify(name, sender, delivery)
        if key is not None and self._recent.has(key):
            counts.repeated += 1
            return Reply(200, "received before")
        if sender.read is None:
            reply = self._receive_push(name, delivery)
        else:
            try:
                hints = take_hints(sender.read(delivery), settings.registry)
            except UnsupportedContentError:
                return self._refuse(name, "malformed", Reply(400, f"not an event of type {settings.kind}; send it as application/json"))
            reply = self._receive_hints(name, hints)
        if reply.status == 202 and key is not None:
            self._recent.add(key)
        return reply

    def _check(self, name: str, settings: EventSettings, delivery: Delivery) -> Reply | None:
        """Return the answer to what is not read, else None."""
        try:
            is_proven = self._is_proven(settings, delivery)
        except KeysUnavailableError:
            return self._refuse(name, "unavailable", Reply(503, "the keys of Google's tokens cannot be read; try again later"))
        if not is_proven:
            # The same for an unknown name, so that names cannot be found by trying.
            return self._refuse(name, "unproven", Reply(404, "unknown sender, or its secret or signature is wrong"))
        return None

    def _is_proven(self, settings: EventSettings, delivery: Delivery) -> bool:
        secret = settings.secret.reveal() if settings.secret is not None else ""
        proof = Proof(secret, sign(secret, delivery.body), delivery)
        if settings.audience:
            return has_token(settings, delivery, self._keys)
        return SENDER_TYPES[settings.kind].has_proof(proof) and secret != ""

    def _receive_push(self, name: str, delivery: Delivery) -> Reply:
        if not is_push(delivery):
            return self._ignore(name)
        if not self._may_act():
            return self._stand_by(name)
        # No more than a look: after a push to another branch, what failed need not be retried.
        self._inbox.ask_look()
        return self._accept(name)

    def _receive_hints(self, name: str, hints: list[Hint]) -> Reply:
        selected = [hint for hint in hints if self._select(hint)]
        if not selected:
            return self._ignore(name)
        if not self._may_act():
            return self._stand_by(name)
        for hint in selected:
            self._inbox.add_hint(hint)
        return self._accept(name, registry=selected[0].registry, repository=selected[0].repository, tag=selected[0].tag, hints=len(selected))

    def _accept(self, name: str, **fields: object) -> Reply:
        self._counts[name].accepted += 1
        now = int(self._clock.monotonic())
        self._shown = (now, self._shown[1] + 1 if self._shown[0] == now else 1)
        # A storm must not fill the log either; what came of it is in the log of its run.
        if self._shown[1] <= _SHOWN_EVENTS:
            self._log.info("event.accepted", sender=name, **fields)
        else:
            self._log.debug("event.accepted", sender=name, **fields)
        return Reply(202, "accepted")

    def _ignore(self, name: str) -> Reply:
        self._counts[name].irrelevant += 1
        self._log.debug("event.ignored", sender=name)
        return Reply(200, "nothing to do: not mirrored, or not about a push")

    def _stand_by(self, name: str) -> Reply:
        # The holder does not see what this replica received. Events about nothing that is mirrored need no second try.
        return self._refuse(name, "standby", Reply(503, "another replica holds the lease; send the event again"))

    def _refuse(self, name: str, reason: str, reply: Reply) -> Reply:
        sender = name if name in self._settings else UNKNOWN_SENDER
        counts = self._counts.setdefault(sender, EventCounts())
        counts.refused[reason] = counts.refused.get(reason, 0) + 1
        now = self._clock.monotonic()
        # Anyone can send what is refused, so it must not fill the log.
        if now >= self._logged.get((sender, reason), now):
            self._logged[sender, reason] = now + _LOG_SECONDS
            self._log.warning("event.refused", sender=sender, reason=reason, status=reply.status, times=counts.refused[reason])
        return reply


def _identify(name: str, sender: SenderType, delivery: Delivery) -> bytes | None:
    """Return what a repeated delivery has again, None if nothing."""
    header = delivery.get(sender.delivery_header) if sender.delivery_header else ""
    return make_key(name.encode(), header.encode(errors="replace"), delivery.body) if sender.differs or header else None
