"""Find the code in our own messages, which write it between backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass  # noqa: TID251 - text imports no other room

# Code that stands alone. Other backticks come from names that someone chose, and are text.
_SPAN = re.compile(r"(?<!\S)(?P<before>\(?)`(?P<code>[^`\s](?:[^`]*[^`\s])?)`(?P<after>\)?[,.;:?]?)(?!\S)")


@dataclass(frozen=True, slots=True)
class CodeSpan:
    """Code, and the brackets and punctuation that touch it."""

    before: str
    code: str
    after: str


def split_code_spans(text: str) -> Iterator[str | CodeSpan]:
    """Yield the parts of *text*: code, and what is between."""
    end = 0
    for found in _SPAN.finditer(text):
        if found.start() > end:
            yield text[end : found.start()]
        yield CodeSpan(found["before"], found["code"], found["after"])
        end = found.end()
    if end < len(text):
        yield text[end:]
