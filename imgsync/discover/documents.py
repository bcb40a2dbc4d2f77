"""
Read YAML or JSON, one document at a time.

The readers of the forms share it. Text in another encoding than UTF-8, as PowerShell writes it, is converted.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from imgsync.config.document import Path
from imgsync.config.yaml_stream import UnreadDocument, read_stream
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.read_json import InvalidJsonError, read_json
from imgsync.discover.shapes import DEPTH_LIMIT, TooDeepError
from imgsync.discover.templates import find_in_template

SIZE_LIMIT = 256 << 20
"""The most bytes of one input."""


class SourceDocument(Protocol):
    """A value, and the line of each of its parts."""

    value: Any

    def find_line(self, path: Path, inner_line: int = 0) -> int:
        """Return the line of the text at *path*, or within it."""


def find_in_each(data: bytes, find: Callable[[SourceDocument], Iterator[FoundImage | SkippedInput]], *, file: str) -> Iterator[FoundImage | SkippedInput]:
    """
    Yield what *find* finds in each document of *data*.

    One document is read at a time. A document that is not valid is one SkippedInput, and the others are still read.
    """
    for document in read_documents(data, file=file):
        if isinstance(document, FoundImage | SkippedInput):
            yield document
            continue
        try:
            yield from find(document)
        except TooDeepError:
            yield SkippedInput(file, document.find_line(()), f"nested deeper than {DEPTH_LIMIT} levels")


def read_documents(data: bytes, *, file: str) -> Iterator[SourceDocument | FoundImage | SkippedInput]:
    """
    Yield the documents of *data*, and what is not valid.

    The images of a document that is a template, not YAML yet, are yielded at once.
    """
    if len(data) > SIZE_LIMIT:
        yield SkippedInput(file, 0, f"it is larger than {SIZE_LIMIT >> 20} MiB", "give it in several parts")
        return
    data = decode_wide(data)
    if data[:200].lstrip()[:1] in {b"{", b"["}:
        beginning = iter(_read_json(data, file=file))
        first = next(beginning, None)
        if not isinstance(first, SkippedInput):
            yield from () if first is None else (first,)
            yield from beginning
            return
    for found in read_stream(data, file=file):
        if isinstance(found, UnreadDocument):
            yield from _read_template(found)
        else:
            yield found
            yield from (SkippedInput(file, line, f"duplicate key {key!r}", "keep one; the last one was read") for line, key in found.repeated)


def _read_json(data: bytes, *, file: str) -> Iterator[SourceDocument | SkippedInput]:
    try:
        yield from read_json(data)
    except InvalidJsonError as error:
        yield SkippedInput(file, error.line, f"invalid JSON: {error.message}")


def _read_template(document: UnreadDocument) -> Iterator[FoundImage | SkippedInput]:
    error = document.error
    if b"{{" in document.data:
        yield from find_in_template(document.data, file=error.file, first_line=document.first_line)
        yield SkippedInput(
            error.file, error.line, "this template is not YAML before it is rendered", "render it and give the result, or give the folder of its chart"
        )
    else:
        yield SkippedInput(error.file, error.line, error.message, error.hint)


def decode_wide(data: bytes) -> bytes:
    """Return *data* in UTF-8 if it begins with the mark of UTF-16."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    return data
