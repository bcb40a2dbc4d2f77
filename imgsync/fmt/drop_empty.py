"""Drop empty documents, which declare nothing; keep their comments."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.fmt.tree import YamlDocument


def drop_empty(documents: Sequence[YamlDocument]) -> list[YamlDocument]:
    """Return *documents* without the empty ones; comments go to the next."""
    kept: list[YamlDocument] = []
    comments: list[str] = []
    for document in documents:
        if document.is_empty:
            comments += [*document.header, *document.root.foot]
            continue
        document.header[:0] = comments
        comments = []
        kept.append(document)
    if comments:
        # No document follows: these stay in one of their own.
        documents[-1].header, documents[-1].root.foot = comments, []
        kept.append(documents[-1])
    return kept
