"""The coordinator's connection: a broker that is silent is given up."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from imgsync.fleet.broker_login import BrokerLogin
from imgsync.fleet.queues import QueueNames
from tests.support.relay import Relay
from tests.support.run_imgsync import eventually

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("ask", [lambda link: link.publish(b"{}"), lambda link: link.count_workers()], ids=["publish", "count"])
def test_silent_broker_ends_every_wait(relay, monkeypatch, ask: Callable[[object], object]):
    """With an error after which the coordinator connects again, and without waiting for the end of the old connection."""
    pytest.importorskip("kombu")
    # Imported now: the extra may be missing.
    from imgsync.fleet import connect
    from imgsync.fleet.link import BrokerLink

    # Enough for a slow machine to open a connection.
    monkeypatch.setattr(connect, "SILENT_SECONDS", 2.0)
    line = BrokerLink(BrokerLogin(f"amqp://{relay.host}/"), QueueNames(f"q{uuid.uuid4().hex[:8]}"))

    with pytest.raises(line.errors):
        _ask_in_silence(line, relay, ask)

    relay.speak()
    monkeypatch.undo()
    # The broker may not have seen yet that the first connection is gone.
    eventually(lambda: _is_served(line), seconds=60)


def _ask_in_silence(line, relay: Relay, ask: Callable[[object], object]) -> None:
    with line.open() as link:
        relay.fall_silent()
        ask(link)


def _is_served(line) -> bool:
    from imgsync.fleet.link import LockedQueueError

    try:
        with line.open() as link:
            return link.count_workers()[0] == 0
    except LockedQueueError:
        return False
