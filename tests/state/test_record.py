"""Records: checked byte by byte, bound to their place."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest

from imgsync.state.record import decode, decode_note, encode, encode_note, from_document, from_line, to_document, to_line
from tests.state.test_store import DIGEST, RECORD, execute, opened, remember


@pytest.mark.row("ST-05")
def test_every_flipped_bit_is_found(tmp_path):
    """A damaged record or note is dropped with a warning; the others stay."""
    record, note, about = encode(RECORD).encode(), encode_note(f"seen s.io/app {DIGEST}", "2026-01-01T00:00:00Z").encode(), f"seen s.io/app {DIGEST}"
    owned = encode(replace(RECORD, mirror="a")).encode()
    for raw, read in (
        (record, lambda text: decode(RECORD.destination, text)),
        (owned, lambda text: decode(RECORD.destination, text)),
        (note, lambda text: decode_note(about, text)),
    ):
        assert read(raw.decode()) is not None
        for position, bit in ((position, bit) for position in range(len(raw)) for bit in range(8)):
            flipped = bytearray(raw)
            flipped[position] ^= 1 << bit
            assert read(flipped.decode("utf-8", "replace")) is None

    remember(tmp_path, RECORD, replace(RECORD, destination="r.io/m/app:2"))
    execute(tmp_path, ("update Cache set value = cast(cast(x'ff' as text) || value as text) where key like '%:2'",))
    warnings: list[str] = []
    with opened(tmp_path, warnings) as state:
        assert [one.destination for one in state.iter_records()] == [RECORD.destination]
    assert "dropped 1 damaged record from the state" in warnings[0]


@pytest.mark.row("ST-16")
@pytest.mark.parametrize(
    "change", [{"digest": "sha256:" + "b" * 64}, {"source_digest": "sha256:" + "b" * 64}, {"selection": "x"}, {"destination": "r.io/m/app:2"}]
)
def test_record_is_bound_to_its_place(change, tmp_path):
    """A record that was moved or altered does not count."""
    text = encode(RECORD)
    altered = replace(RECORD, **change)
    document = json.loads(text) | {key: value for key, value in to_document(altered).items() if key not in {"check", "v"}}

    assert decode(RECORD.destination, text) == RECORD
    assert decode(altered.destination, json.dumps(document)) is None


@pytest.mark.row("ST-18")
def test_state_of_a_later_version_costs_only_requests(tmp_path):
    """Records of unknown versions are dropped, unknown kinds are kept, another schema is moved aside."""
    remember(tmp_path)
    later = json.dumps(json.loads(encode(RECORD)) | {"v": 2})
    execute(tmp_path, ("update Cache set value = ?", (later,)))
    execute(tmp_path, ("insert into Cache (key, raw, mode, value) values ('future about', 1, 1, 'what we do not know')",))
    warnings: list[str] = []
    with opened(tmp_path, warnings) as state:
        assert list(state.iter_records()) == []
        state.put([RECORD])
    assert len(warnings) == 1
    connection = sqlite3.connect(tmp_path / "state" / "cache.db")
    assert connection.execute("select value from Cache where key = 'future about'").fetchone() == ("what we do not know",)
    connection.close()

    execute(tmp_path, ("alter table Cache add column future",))
    with opened(tmp_path, warnings) as state:
        assert list(state.iter_records()) == []
    assert "its schema differs" in warnings[1]


FIRST_FIELDS = {"applied_at", "check", "crc32", "digest", "media_type", "selection", "size_bytes", "source", "source_digest", "v"}


@pytest.mark.row("ST-18")
def test_record_without_a_mirror_is_read_and_written_as_before():
    """An earlier version wrote it; no byte changes until a mirror confirms it."""
    old = encode(RECORD)

    assert json.loads(old).keys() == to_line(RECORD).keys() - {"destination"} == FIRST_FIELDS
    assert decode(RECORD.destination, old) == replace(RECORD, mirror="")


@pytest.mark.row("ST-18")
def test_earlier_version_reads_a_record_with_a_mirror():
    """It reads all fields of a row, and of a line only those that it knows; both match their checksum."""
    owned = replace(RECORD, mirror="kubernetes")
    line = to_line(owned)

    assert decode(RECORD.destination, encode(owned)) == owned
    assert from_document(RECORD.destination, {name: line[name] for name in FIRST_FIELDS}) == RECORD
    assert from_line(RECORD.destination, line | {"later": 1}) == owned


@pytest.mark.parametrize("change", [{"mirror": "other"}, {"mirror": 1}, {"mirror": None}, {"mirror_check": "0" * 8}, {"mirror_check": None}], ids=str)
def test_damaged_mirror_of_a_line_is_found(change):
    """A wrong name would let another mirror delete the tag."""
    assert from_line(RECORD.destination, to_line(replace(RECORD, mirror="kubernetes")) | change) is None
