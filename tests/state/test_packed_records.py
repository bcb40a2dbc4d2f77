"""Packed records: a mapping by destination, in little memory."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.state import Record
from imgsync.state.packed_notes import PackedNotes
from imgsync.state.packed_records import PackedRecords
from imgsync.system import packed_map
from imgsync.system.packed_rows import pack_rows


def make_record(name: str, *, mirror: str = "a") -> Record:
    digest = f"sha256:{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"
    return Record(f"m.example/{name}", digest, "0000000a", 1000, "x/y", f"s.example/{name}", digest, "platforms=all", "2026-01-01T00:00:00Z", mirror)


names = st.text("ab:@/-\ud800é", max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["put", "remove"]), names), max_size=20)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_map, "BLOCK", 2)
        patch.setattr(packed_map, "_CHANGED", 4)
        patch.setattr(packed_map, "_UNPACKED", 2)
        yield


@given(st.sets(names, max_size=12), steps, names)
def test_packed_records_are_a_mapping(known, changes, prefix):
    model = {(record := make_record(name)).destination: record for name in known}
    packed = PackedRecords(model[destination] for destination in sorted(model))
    for step, name in changes:
        record = make_record(name, mirror="b")
        if step == "put":
            packed.put([record])
            model[record.destination] = record
        else:
            assert packed.pop(record.destination, None) == model.pop(record.destination, None)
        assert len(packed) == len(model)

    assert list(packed.iter_from()) == [model[destination] for destination in sorted(model)]
    assert list(packed.iter_from(f"m.example/{prefix}")) == [model[one] for one in sorted(model) if one.startswith(f"m.example/{prefix}")]
    assert len(packed) == len(model)
    for name in {*known, *(name for _, name in changes), prefix}:
        assert packed.get(f"m.example/{name}") == model.get(f"m.example/{name}")
        assert (f"m.example/{name}" in packed) == (f"m.example/{name}" in model)


@given(st.dictionaries(names, names), steps)
def test_packed_notes_are_a_dictionary(known, changes):
    model = dict(known)
    packed = PackedNotes(sorted(known.items()))
    for step, name in changes:
        if step == "put":
            packed[name] = model[name] = f"new {name}"
        else:
            assert packed.pop(name, "") == model.pop(name, "")

    assert packed == model
    assert list(packed) == sorted(model)
    packed.clear()
    assert not packed
    packed["a"] = ""
    assert dict(packed) == {"a": ""}


def test_reading_shows_the_records_of_its_beginning():
    packed = PackedRecords(make_record(str(number)) for number in range(9))
    reading = packed.iter_from()
    first = next(reading)

    packed.put(make_record(str(number), mirror="b") for number in range(9))

    assert [first, *reading] == [make_record(str(number)) for number in range(9)]


def test_changed_records_are_packed_too(monkeypatch):
    monkeypatch.setattr(packed_map, "BLOCK", 128)
    monkeypatch.setattr(packed_map, "_CHANGED", 1024)
    packed = PackedRecords(make_record(f"r:{number:06}") for number in range(10_000))
    tracemalloc.start()
    try:
        packed.put(make_record(f"r:{number:06}", mirror="b") for number in range(20_000))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held / len(packed) < 200
    assert [record.mirror for record in packed.iter_from()] == ["b"] * 20_000


def test_blocks_stay_full_when_keys_come_in_no_order(monkeypatch):
    """A block that has become too large is split in the middle; otherwise nearly all blocks would come to hold a few rows."""
    monkeypatch.setattr(packed_map, "_CHANGED", 64)
    notes = {hashlib.sha256(str(number).encode()).hexdigest(): str(number) for number in range(4000)}
    packed = PackedNotes()
    sizes = []
    monkeypatch.setattr(packed_map, "pack_rows", lambda rows: sizes.append(len(rows)) or pack_rows(rows))

    packed.update(notes)

    assert packed == notes
    last = sizes[-1000:]
    assert min(last) >= 16
    assert max(last) <= 32


def test_record_takes_two_hundred_bytes_at_most(monkeypatch):
    monkeypatch.setattr(packed_map, "BLOCK", 128)
    tracemalloc.start()
    try:
        packed = PackedRecords(make_record(f"team/r{number // 1000:03}:v1.{number % 1000:04}.0") for number in range(20_000))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held / len(packed) < 200
