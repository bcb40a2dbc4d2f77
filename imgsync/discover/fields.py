"""
Find the images in the text of a field, by its name.

A field that is named after images holds one; in others a text is searched for names with a registry.
"""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.discover.image_maps import PARTS
from imgsync.discover.model import Certainty
from imgsync.discover.names import (
    ImageName,
    find_in_text,
    has_registry,
    has_template,
    is_image_key,
    is_named_after_images,
    read_name,
    read_named,
)

# Within `image`, as image volumes have it.
_REFERENCES = frozenset({"reference", "ref"})
# For people.
_PROSE = frozenset({"description", "summary", "message", "help", "title", "comment"})
# Pictures and disks, which other programs call images.
_OTHER_FILES = (".png", ".svg", ".jpg", ".jpeg", ".gif", ".ico", ".webp", ".iso", ".img", ".qcow2", ".raw", ".vmdk", ".ova", ".gz", ".xz", ".zip")

Found = Iterator[tuple[ImageName, int]]
"""Images, each with its line in a text of several lines, from 1; 0 for the text itself."""


def may_name_image(text: str, key: str, above: str) -> bool:
    """Return whether it is worth reading *text*; a quick look."""
    return ("/" in text and ":" in text) or "image" in text or "IMAGE" in text or is_named_after_images(key) or is_image_key(above)


def read_field(text: str, *, key: str, above: str) -> Found:
    """Yield the images of *text*, the value of *key*."""
    if key in _PROSE:
        return
    if key in _REFERENCES and is_image_key(above):
        yield read_name(text), 0
    elif is_image_key(above) and key not in PARTS and (name := read_named(text)) is not None:
        yield name, 0
    elif is_named_after_images(key) and (found := _read_image_field(text, key=key)) is not None:
        yield found, 0
    else:
        yield from find_in_text(text)


def read_variable(name: str, value: str) -> Found:
    """Yield the images in the value of an environment variable or annotation."""
    found = read_named(value) if is_named_after_images(name) else None
    if found is not None:
        yield found, 0
    else:
        yield from find_in_text(value)


def _read_image_field(text: str, *, key: str) -> ImageName | None:
    found = read_name(text, certainty=Certainty.SURE if is_image_key(key) else Certainty.LIKELY)
    if text.lower().endswith(_OTHER_FILES):
        return None
    if found.certainty is not Certainty.UNRESOLVED or found.reference is None:
        return found if found.reference is not None or has_template(text) else None
    return found if has_registry(text) else None
