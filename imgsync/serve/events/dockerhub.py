"""
Read webhooks of Docker Hub, and of Alibaba's registry, which are alike.

Sources: "Webhooks" of Docker Hub's documentation; "Manage triggers" of Alibaba Cloud Container Registry's. `callback_url` is not called.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.serve.events.fields import get_object, get_text, list_pushed, parse_payload
from imgsync.serve.events.model import Change, Delivery


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the change of a pushed tag.

    Raises:
        UnsupportedContentError: The body is not an event.
    """
    document = parse_payload(delivery.body)
    repository = get_object(document, "repository")
    name = get_text(repository, "repo_name") or get_text(repository, "repo_full_name")
    whole = "/".join(filter(None, (get_text(repository, "namespace"), get_text(repository, "name"))))
    yield from list_pushed(name or whole, get_text(document, "push_data", "tag"))
