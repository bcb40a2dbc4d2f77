"""Compare a bundle with those that were loaded before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from imgsync.bundle.model import Bundle
from imgsync.state.run_notes import BundleNote


def find_newer(bundle: Bundle, loaded: Sequence[BundleNote]) -> BundleNote | None:
    """
    Return a loaded bundle that is newer than *bundle*, if any.

    One is newer that continues *bundle*, or that was loaded after *bundle* was. Of a bundle without a parent that was never loaded, nothing is known.
    """
    parents = {note.id: note.parent for note in loaded} | {bundle.id: bundle.parent}
    older = set(_iter_ancestors(bundle.id, parents))
    own = next((note.moment for note in loaded if note.id == bundle.id), None)
    for note in reversed(loaded):
        if note.id == bundle.id or note.id in older:
            continue
        if bundle.id in _iter_ancestors(note.id, parents) or (own is not None and note.moment > own):
            return note
    return None


def _iter_ancestors(name: str, parents: Mapping[str, str]) -> Iterator[str]:
    seen = {name}
    while (name := parents.get(name, "")) and name not in seen:
        seen.add(name)
        yield name
