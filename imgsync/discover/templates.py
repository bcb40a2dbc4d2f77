"""
Find images in a template that is not rendered, by line.

It is not YAML yet, so only fields named after images are read. What the template fills in is unresolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imgsync.discover.model import Certainty, FoundImage
from imgsync.discover.names import has_template, is_image_key, read_name

_FIELD = re.compile(rb"^[ \t]*(?:-[ \t]+)?[\"']?(?P<key>[A-Za-z0-9_.-]{1,80})[\"']?:[ \t]+(?P<value>\S[^\r\n]*)$", re.MULTILINE)
_COMMENT = re.compile(r"\s#.*$")


def find_in_template(data: bytes, *, file: str, first_line: int = 1) -> Iterator[FoundImage]:
    """Yield the images of fields in *data*, whose first line is *first_line*."""
    line, counted = first_line, 0
    for found in _FIELD.finditer(data):
        key = found["key"].decode("ascii")
        if not is_image_key(key):
            continue
        line += data.count(b"\n", counted, found.start())
        counted = found.start()
        text = _COMMENT.sub("", found["value"].decode("utf-8", "replace")).strip().strip("\"'")
        name = read_name(text, certainty=Certainty.LIKELY)
        if name.reference is not None or has_template(text):
            yield name.place(file, line, key)
