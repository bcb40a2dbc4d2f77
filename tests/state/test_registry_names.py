"""States of versions that took HOST:443 for another registry than HOST."""

from __future__ import annotations

from dataclasses import replace

from imgsync.state import SeenBlobs
from imgsync.state.jsonl import decode_lines, encode_lines
from tests.state.test_store import DIGEST, RECORD, opened


def old_record():
    return replace(RECORD, destination="r.io:443/m/app:1", source="s.io:443/app:1")


def test_old_record_is_found_under_the_one_name(tmp_path):
    """It is also stored under it, so that a removed record does not come back."""
    with opened(tmp_path) as state:
        state.put([old_record()], blobs=[SeenBlobs("r.io:443", "m/app", "s.io", {DIGEST: None})], seen=[("s.io:443/app", DIGEST, "2026-01-01T00:00:00Z")])

    with opened(tmp_path) as state:
        found = state.get("r.io/m/app:1")
        assert found == replace(old_record(), destination="r.io/m/app:1", source="s.io/app:1")
        assert state.find_blob_repositories("r.io", DIGEST) == ("m/app",)
        assert state.get_first_seen("s.io/app", DIGEST) == "2026-01-01T00:00:00Z"
        assert state.remove(["r.io/m/app:1"]) == 1
    with opened(tmp_path) as state:
        assert list(state.iter_records()) == []


def test_later_record_of_one_registry_wins(tmp_path):
    """Whichever of its names the record has."""
    later = replace(RECORD, destination="r.io/m/app:1", applied_at="2030-01-01T00:00:00Z")
    with opened(tmp_path) as state:
        state.put([later, old_record()])

    with opened(tmp_path) as state:
        assert list(state.iter_records()) == [later]


def test_exported_old_state_is_read_with_the_one_name(tmp_path):
    """As pulled from a registry, or imported."""
    with opened(tmp_path) as state:
        state.put([old_record()])
        lines = list(encode_lines(state.snapshot(), created_at="2026-01-01T00:00:00Z"))

    assert list(decode_lines(lines).snapshot.records) == ["r.io/m/app:1"]
