"""
Read notifications of Distribution: docker-registry, GitLab's registry, Azure's.

Sources: notifications/event.go of distribution/distribution (events v1 of 2.x, v2 of 3.x); "Azure Container Registry webhook reference", which has
one event without an envelope.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.serve.events.fields import get_text, list_objects, list_pushed, parse_payload
from imgsync.serve.events.model import Change, Delivery


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the changes of an envelope.

    Pulls and mounts change nothing. A push without a tag is one of a layer, or of an image by its digest: its tag comes in an event of its own.

    Raises:
        UnsupportedContentError: The body has no events.
    """
    document = parse_payload(delivery.body)
    events = document.get("events", [document] if "action" in document else None)
    if not isinstance(events, list):
        raise UnsupportedContentError("the event has no list `events`")
    for event in list_objects(events):
        yield from _read_event(event)


def _read_event(event: dict[str, Any]) -> Iterator[Change]:
    action, repository, tag = get_text(event, "action"), get_text(event, "target", "repository"), get_text(event, "target", "tag")
    if action in {"push", "chart_push"}:
        yield from list_pushed(repository, tag)
    elif action in {"delete", "chart_delete"}:
        yield Change(repository)
