"""Read events that anything can send: `{"image": "team/app:1.2"}`."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.errors import UnsupportedContentError
from imgsync.oci.spec.reference import is_registry_like, split_reference
from imgsync.serve.events.fields import parse_payload
from imgsync.serve.events.model import Change, Delivery


def read_changes(delivery: Delivery) -> Iterator[Change]:
    """
    Yield the change of `image`, or of each of `images`.

    An image without a tag, or with a digest alone, stands for its repository.

    Raises:
        UnsupportedContentError: The body has neither.
    """
    document = parse_payload(delivery.body)
    images = document.get("images", [document["image"]] if "image" in document else None)
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise UnsupportedContentError("the event has neither a text `image` nor a list `images`")
    yield from map(read_image, images)


def read_image(image: str) -> Change:
    """Return the change of an image, with or without its registry."""
    name, rest = split_reference(image)
    first, slash, path = name.partition("/")
    registry = first if slash and is_registry_like(first) else ""
    return Change(path if registry else name, rest.partition("@")[0].removeprefix(":"), registry)
