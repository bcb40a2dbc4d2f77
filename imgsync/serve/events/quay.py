"""
Read notifications of Quay: "Push to Repository".

Sources: "Repository notifications" of Red Hat Quay's documentation; before 2015, `updated_tags` was an object of tags and image IDs.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.serve.events.fields import get_text, list_pushed, parse_payload
from imgsync.serve.events.model import Change, Delivery


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the change of each tag.

    Raises:
        UnsupportedContentError: The body is not an event.
    """
    document = parse_payload(delivery.body)
    tags = document.get("updated_tags")
    for tag in tags if isinstance(tags, list | dict) else ():
        if isinstance(tag, str):
            yield from list_pushed(get_text(document, "repository"), tag)
