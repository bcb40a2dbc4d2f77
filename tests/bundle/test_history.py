"""Which loaded bundle is newer than another."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.bundle.history import find_gap, find_newer
from imgsync.bundle.model import Bundle
from imgsync.concurrency.native_thread import NativeThread
from imgsync.state import open_state
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

    found = find_newer(Bundle((), (), (), parent=parent, id=name), notes(*loaded), moved_tags_since=lambda _: True)

    assert (None if found is None else found.note.id) == newer


@pytest.mark.parametrize(
    ("bundle", "loaded", "newer"),
    [
        ("a", ("a", "x"), None),
        ("a", ("a", "x<y"), None),
        ("b<a", ("a", "b<a", "x", "y<x"), None),
        ("b<a", ("a", "x<y"), None),
        ("a", ("a", "x", "b<a", "z"), "b"),
        ("b<a", ("a", "b<a", "c<a", "x"), "c"),
    ],
)
def test_unrelated_bundle_that_moved_no_tag_does_not_count(bundle, loaded, newer):
    """Only those of the chain, wherever unrelated ones come."""
    name, _, parent = bundle.partition("<")

    found = find_newer(Bundle((), (), (), parent=parent, id=name), notes(*loaded), moved_tags_since=lambda _: False)

    assert (None if found is None else found.note.id) == newer


@pytest.mark.parametrize(("is_whole", "gap"), [(True, ""), (False, "a")])
def test_parent_that_failed_in_part_is_a_gap(is_whole, gap):
    """What only the parent has may be missing."""
    loaded = [BundleNote("a", "", "2026-01-01T00:00:00.000Z", is_whole)]

    assert find_gap(Bundle((), (), (), parent="a", id="b"), loaded) == gap


def test_bundle_that_was_whole_once_stays_so(tmp_path):
    """A later load that fails takes nothing away; the state keeps parent and moment too."""
    with open_state(str(tmp_path), thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail) as state:
        for day, is_whole in ((1, False), (2, True), (3, False)):
            note = BundleNote("b", "a", f"2026-01-0{day}T00:00:00.000Z", is_whole)
            state.record_bundle(note)
            assert state.loaded_bundles == (replace(note, is_whole=day > 1),)
        state.record_bundle(BundleNote("c", "", "2026-01-04T00:00:00.000Z"))
        assert state.loaded_bundles[-1] == BundleNote("c", "", "2026-01-04T00:00:00.000Z")
