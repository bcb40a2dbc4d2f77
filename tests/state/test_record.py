"""Records: checked byte by byte, bound to their place."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

import pytest

from imgsync.state.record import decode, decode_note, encode, encode_note, to_document
from tests.state.test_store import DIGEST, RECORD, execute, opened, remember


@pytest.mark.row("ST-05")
def test_every_flipped_bit_is_found(tmp_path):
    """A damaged record or note is dropped with a warning; the others stay."""
    record, note, about = encode(RECORD).encode(), encode_note(f"seen s.io/app {DIGEST}", "2026-01-01T00:00:00Z").encode(), f"seen s.io/app {DIGEST}"
    for raw, read in ((record, lambda text: decode(RECORD.destination, text)), (note, lambda text: decode_note(about, text))):
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
