"""Which loaded bundle is newer than another."""

from __future__ import annotations

import pytest

from imgsync.bundle.history import find_newer
from imgsync.bundle.model import Bundle
from imgsync.state.run_notes import BundleNote


def notes(*loaded: str) -> list[BundleNote]:
    """Return bundles as they were loaded: ID or ID<PARENT."""
    return [BundleNote(name, parent, f"2026-01-{day:02}T00:00:00.000Z") for day, (name, _, parent) in enumerate((one.partition("<") for one in loaded), 1)]


@pytest.mark.parametrize(
    ("bundle", "loaded", "newer"),
    [
        ("a", (), None),
        ("a", ("a",), None),
        ("b", ("a",), None),
        ("b<a", ("a",), None),
        ("a", ("b<a",), "b"),
        ("a", ("b<a", "c<b"), "c"),
        ("a", ("c<b", "b<a"), "b"),
        ("b<a", ("a", "b<a", "c<b"), "c"),
        ("a", ("a", "x"), "x"),
        ("b<a", ("b<a", "a"), None),
        ("c<b", ("c<b", "b<a", "a"), None),
        ("a<a", ("a<a", "b<b"), "b"),
    ],
)
def test_newer_bundle_continues_or_followed(bundle, loaded, newer):
    """By the chain, else by the order of loads; a chain may be a circle."""
    name, _, parent = bundle.partition("<")

    found = find_newer(Bundle((), (), (), parent=parent, id=name), notes(*loaded))

    assert (None if found is None else found.note.id) == newer
