"""
Read webhooks of Harbor, in its default format and as CloudEvents.

Sources: src/pkg/notifier/model/event.go and formats/cloudevents.go of goharbor/harbor, "Configure Webhook Notifications" of its documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imgsync.serve.events.fields import get_object, get_text, list_objects, list_pushed, parse_payload
from imgsync.serve.events.model import Change, Delivery

_PUSHED = {"PUSH_ARTIFACT", "CREATE_TAG", "harbor.artifact.pushed", "harbor.tag.created"}
_DELETED = {"DELETE_ARTIFACT", "DELETE_TAG", "harbor.artifact.deleted", "harbor.tag.deleted"}


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the changes of a webhook.

    Raises:
        UnsupportedContentError: The body is not an event.
    """
    document = parse_payload(delivery.body)
    yield from read_event(get_text(document, "type"), get_object(document, "data" if "specversion" in document else "event_data"))


def read_event(kind: str, data: dict[str, Any]) -> Iterator[Change]:
    """Yield the changes of an event of this *kind*."""
    repository = get_text(data, "repository", "repo_full_name")
    if kind in _DELETED:
        yield Change(repository)
    elif kind in _PUSHED:
        for resource in list_objects(data.get("resources")):
            # Of an artifact without a tag, `tag` is the digest.
            yield from list_pushed(repository, get_text(resource, "tag"))
