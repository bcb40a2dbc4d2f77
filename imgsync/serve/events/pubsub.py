"""
Read messages of Google's Artifact Registry, pushed by Pub/Sub.

Sources: "Configure Pub/Sub notifications" of Artifact Registry's documentation; "Push subscriptions" of Pub/Sub's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

from imgsync.errors import UnsupportedContentError
from imgsync.serve.events.fields import get_text, parse_payload
from imgsync.serve.events.generic import read_image
from imgsync.serve.events.model import Change, Delivery


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the change in a message, with or without its envelope.

    Pub/Sub calls the latter payload unwrapping. An upload without a tag is none, since a tag has a message of its own.

    Raises:
        UnsupportedContentError: The body is not a message with data.
    """
    document = parse_payload(delivery.body)
    if "message" in document:
        document = _decode(get_text(document, "message", "data"))
    action, tagged = get_text(document, "action"), get_text(document, "tag")
    if action == "INSERT" and tagged:
        yield read_image(tagged)
    elif action == "DELETE":
        deleted = read_image(tagged or get_text(document, "digest"))
        yield Change(deleted.repository, registry=deleted.registry)


def _decode(data: str) -> dict[str, Any]:
    try:
        return parse_payload(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        raise UnsupportedContentError("the message's data is not base64") from error
