"""Compare a bundle with those that were loaded before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from imgsync.bundle.model import Bundle
from imgsync.state.run_notes import BundleNote
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class NewerBundle:
    """
    A loaded bundle that is newer than another.

    `is_certain` is False if a bundle between both was not loaded, so that their order is not known.
    """

    note: BundleNote
    is_certain: bool = True


def find_newer(bundle: Bundle, loaded: Sequence[BundleNote], *, moved_tags_since: Callable[[str], bool]) -> NewerBundle | None:
    """
    Return a loaded bundle that is, or may be, newer.

    One is newer that continues *bundle*, or a bundle of its chain that was loaded after *bundle* was. Of other bundles nothing is known: one that was loaded
    later, or whose chain has a gap where *bundle* may belong, counts only if *moved_tags_since* says that tags of *bundle* were pushed after a moment. So
    other bundles for the same tags count, and unrelated ones do not.
    """
    parents = {note.id: note.parent for note in loaded} | {bundle.id: bundle.parent}
    older = set(_iter_ancestors(bundle.id, parents))
    others = [note for note in reversed(loaded) if note.id != bundle.id and note.id not in older]
    own = next((note.moment for note in loaded if note.id == bundle.id), None)
    has_moved = own is not None and moved_tags_since(own)
    for note in others:
        chain = {note.id, *_iter_ancestors(note.id, parents)}
        if bundle.id in chain or (own is not None and note.moment > own and (has_moved or chain & older)):
            return NewerBundle(note)
    if not bundle.parent:
        return None
    last = max((note.moment for note in loaded if note.id == bundle.id or note.id in older), default="")
    gaps = [note for note in others if note.moment >= last and _has_gap(note, parents)]
    return NewerBundle(gaps[0], is_certain=False) if gaps and moved_tags_since(last) else None


def find_gap(bundle: Bundle, loaded: Sequence[BundleNote]) -> str:
    """Return the parent of *bundle*, "" if all of it was loaded."""
    return "" if any(note.id == bundle.parent and note.is_whole for note in loaded) else bundle.parent


def _has_gap(note: BundleNote, parents: Mapping[str, str]) -> bool:
    *_, first = (note.id, *_iter_ancestors(note.id, parents))
    return first not in parents


def _iter_ancestors(name: str, parents: Mapping[str, str]) -> Iterator[str]:
    seen = {name}
    while (name := parents.get(name, "")) and name not in seen:
        seen.add(name)
        yield name
