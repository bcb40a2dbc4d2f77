"""The state as JSON lines: read back whole, merged without loss, damaged input refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgsync.concurrency.native_thread import NativeThread
from imgsync.errors import StateError
from imgsync.state import Record, Snapshot, open_state
from imgsync.state import jsonl as limits
from imgsync.state.jsonl import decode_lines, encode_lines
from imgsync.state.merge import has_same_contents, merge, restore_mirrors
from imgsync.state.remote.packing import pack, unpack
from imgsync.state.snapshot import BLOB, EMPTY, GONE, KINDS, REFERRERS, REMAINING, RUN, SEEN, SUCCESS
from tests.state.test_store import RECORD

MOMENT = "2026-01-01T00:00:00Z"
DIGESTS = [f"sha256:{letter * 64}" for letter in "abc"]
# Few values each, so that two states have much in common.
digests = st.sampled_from(DIGESTS)
moments = st.sampled_from([f"2026-01-0{day}T00:00:00Z" for day in range(1, 6)])
paths = st.sampled_from(["a", "b/c", "d__e", "f-g", "h"])
destinations = st.builds("r.io/{}:{}".format, paths, st.sampled_from(["1", "2", "latest"]))
repositories = st.builds("s.io:5000/{}".format, paths)
records = st.builds(
    Record,
    destination=destinations,
    digest=digests,
    crc32=st.sampled_from(["", "0123abcd"]),
    size_bytes=st.integers(0, 2**40),
    media_type=st.sampled_from(["", "application/vnd.oci.image.index.v1+json"]),
    source=st.one_of(st.builds("{}:1".format, repositories), st.builds("{}@{}".format, repositories, digests)),
    source_digest=digests,
    selection=st.sampled_from(["", "linux/amd64,linux/arm64 referrers"]),
    applied_at=st.one_of(st.just(""), moments),
    mirror=st.sampled_from(["", "a", "b"]),
)


def notes_of(about: st.SearchStrategy[str], text: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(about, text, max_size=3)


snapshots = st.builds(
    Snapshot,
    st.lists(records, max_size=8).map(lambda found: {record.destination: record for record in found}),
    st.fixed_dictionaries(
        {
            BLOB: notes_of(st.builds("r.io {}".format, digests), st.lists(paths, min_size=1, max_size=4, unique=True).map(" ".join)),
            REFERRERS: notes_of(st.builds("{} {}".format, repositories, digests), st.sampled_from(["", f"sha256-{'a' * 64}.sig=x"])),
            SEEN: notes_of(st.builds("{} {}".format, repositories, digests), moments),
            REMAINING: notes_of(destinations, st.integers(0, 99).map("{:08}".format)),
            SUCCESS: notes_of(st.sampled_from(["kubernetes", "tools"]), moments),
            RUN: notes_of(st.just("requeues"), st.sampled_from("123")),
            GONE: notes_of(destinations, moments),
        }
    ),
)


def read(raw: bytes, size: int = 1 << 20) -> Snapshot:
    return decode_lines(raw[begin : begin + size] for begin in range(0, len(raw), size)).snapshot


def written(snapshot: Snapshot) -> bytes:
    return b"".join(encode_lines(snapshot, created_at=MOMENT))


def lines_of(snapshot: Snapshot) -> list[dict[str, object]]:
    return [json.loads(line) for line in written(snapshot).splitlines()]


def raw_of(lines: Iterable[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@settings(deadline=None)
@given(snapshots, st.integers(1, 500))
def test_lines_hold_everything(snapshot, size):
    """What is written is read again, however the bytes are split."""
    assert read(written(snapshot), size) == snapshot


@settings(deadline=None)
@given(snapshots)
def test_lines_depend_on_the_content_alone(snapshot):
    """Equal content gives equal bytes, packed or not."""
    turned = Snapshot(
        dict(reversed(list(snapshot.records.items()))), {kind: dict(reversed(list(notes.items()))) for kind, notes in reversed(list(snapshot.notes.items()))}
    )

    assert written(turned) == written(snapshot)
    assert pack(turned, created_at=MOMENT) == pack(snapshot, created_at=MOMENT)
    assert unpack(pack(snapshot, created_at=MOMENT)).snapshot == snapshot


@settings(deadline=None)
@given(snapshots, snapshots)
# A record with a mirror is not newer than one of an earlier version.
@example(
    Snapshot({RECORD.destination: replace(RECORD, mirror="")}, EMPTY.notes), Snapshot({RECORD.destination: replace(RECORD, crc32="", mirror="a")}, EMPTY.notes)
)
def test_merge_loses_no_record_and_keeps_the_newer(ours, theirs):
    """Without a common base every destination stays; the later record wins, ours on a tie."""
    merged = merge(ours, theirs)

    assert merged.snapshot.records.keys() == ours.records.keys() | theirs.records.keys()
    for destination, record in merged.snapshot.records.items():
        mine, other = ours.records.get(destination), theirs.records.get(destination)
        newer = other if mine is None or (other is not None and other.applied_at > mine.applied_at) else mine
        assert has_same_contents({destination: record}, {destination: newer})
        assert record.mirror or not newer.mirror
    assert merged.removed == 0
    assert merged.added == len(theirs.records.keys() - ours.records.keys())
    assert merged.added + merged.newer + merged.kept == len(merged.snapshot.records)


@settings(deadline=None)
@given(snapshots, snapshots)
def test_merge_of_notes(ours, theirs):
    """Earliest first sight, latest success, up to four repositories of a blob, ours first."""
    merged = merge(ours, theirs).snapshot.notes

    for kind, choose in ((SEEN, min), (SUCCESS, max), (GONE, min)):
        for about, text in merged[kind].items():
            assert text == choose(notes[kind][about] for notes in (ours.notes, theirs.notes) if about in notes[kind])
    for about, text in merged[BLOB].items():
        mine, other = ours.notes[BLOB].get(about, "").split(), theirs.notes[BLOB].get(about, "").split()
        assert text.split() == ([*mine, *(path for path in other if path not in mine)])[:4]
    assert merged[REMAINING] == (ours.notes[REMAINING] or theirs.notes[REMAINING])
    assert merged[RUN] == theirs.notes[RUN] | ours.notes[RUN]
    assert merged[REFERRERS] == theirs.notes[REFERRERS] | ours.notes[REFERRERS]


@settings(deadline=None)
@given(snapshots, snapshots, snapshots)
def test_merge_takes_the_side_that_changed(ours, theirs, base):
    """If one side is unchanged, the other wins, including its deletions; merging again changes nothing."""
    assert merge(ours, ours).snapshot == ours
    assert merge(ours, base, base).snapshot == replace(ours, records=restore_mirrors(ours.records, base.records))
    assert merge(base, theirs, base).snapshot == replace(theirs, records=restore_mirrors(theirs.records, base.records))
    assert merge(EMPTY, theirs).snapshot == theirs
    once = merge(ours, theirs, base).snapshot
    assert merge(once, theirs, theirs).snapshot == replace(once, records=restore_mirrors(once.records, theirs.records))


@settings(deadline=None)
@given(snapshots, snapshots, snapshots)
def test_merge_loses_nothing_that_one_side_alone_wrote(ours, theirs, base):
    """Changes of one side since the common base stay."""
    merged = merge(ours, theirs, base).snapshot.records

    for one, other in ((ours, theirs), (theirs, ours)):
        for destination, record in one.records.items():
            if record != base.records.get(destination) and destination not in other.records:
                assert merged[destination] == record
    for destination in base.records.keys() - ours.records.keys():
        if theirs.records.get(destination) == base.records[destination]:
            assert destination not in merged


def test_merge_keeps_the_mirror_that_an_earlier_version_dropped():
    """On either side, and with or without a base; a record with other content keeps none."""
    owned, old, moved = (Snapshot({RECORD.destination: one}) for one in (replace(RECORD, mirror="a"), RECORD, replace(RECORD, digest=DIGESTS[1])))

    for base in (EMPTY, owned, old):
        assert merge(owned, old, base).snapshot == merge(old, owned, base).snapshot == owned
    assert merge(owned, moved, owned).snapshot == moved
    assert merge(old, moved, owned).snapshot.records[RECORD.destination].mirror == ""


FULL = Snapshot(
    {RECORD.destination: replace(RECORD, mirror="tools")},
    {
        BLOB: {f"r.io {DIGESTS[0]}": "m/app other"},
        REFERRERS: {f"r.io/m/app {DIGESTS[0]}": ""},
        SEEN: {f"s.io/app {DIGESTS[0]}": MOMENT},
        REMAINING: {"r.io/m/app:2": "00000000"},
        SUCCESS: {"kubernetes": MOMENT},
        RUN: {"requeues": "1"},
        GONE: {RECORD.destination: MOMENT},
    },
)
ALL = range(len(KINDS) + 1)


@pytest.mark.parametrize("number", ALL)
def test_unknown_fields_are_ignored(number):
    """A later minor version may add fields to any line."""
    lines = lines_of(FULL)
    lines[0] |= {"written_by": "imgsync 9"}
    lines[number + 1] |= {"later": {"deep": [1, None]}, "__class__": "os.system"}

    assert read(raw_of(lines)) == FULL


def test_unknown_kinds_are_ignored_and_counted():
    """Lines of unknown kinds are counted."""
    lines = [*lines_of(FULL), {"kind": "later", "about": 1}, {"kind": "pulled", "about": "x"}]
    lines[0]["lines"] = 10

    found = decode_lines([raw_of(lines)])

    assert (found.snapshot, found.skipped_lines) == (FULL, 2)


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (1, {"digest": DIGESTS[1]}),
        (1, {"destination": "r.io/m/app:2"}),
        (1, {"destination": None}),
        (1, {"check": "0" * 16}),
        (1, {"check": None}),
        (1, {"v": 2}),
        (1, {"mirror": "toolz"}),
        (1, {"mirror_check": None}),
        (1, {"size_bytes": "10"}),
        (2, {"digest": "sha256:short"}),
        (2, {"registry": "https://r.io"}),
        (2, {"repositories": "../../etc"}),
        (2, {"repositories": ""}),
        (2, {"repositories": ["m/app"]}),
        (3, {"repository": "no registry"}),
        (3, {"tags": "\x1b[2J"}),
        (4, {"moment": "yesterday"}),
        (4, {"moment": 5}),
        (5, {"destination": "r.io/m/app"}),
        (5, {"order": "1e3"}),
        (6, {"mirror": "a\nb"}),
        (6, {"mirror": ""}),
        (7, {"value": "\u202e"}),
        (7, {"kind": 7}),
        (7, {"kind": None}),
    ],
    ids=str,
)
def test_damaged_values_name_their_line(number, change):
    """One wrong value refuses the whole file; the error shows the line."""
    lines = lines_of(FULL)
    lines[number] |= change

    with pytest.raises(StateError, match=f"line {number + 1} "):
        read(raw_of(lines))


@pytest.mark.parametrize(
    "change",
    [
        {"destination": "r.io/m/app"},
        {"destination": "R.io/m app:1"},
        {"destination": "r.io/m/app:1\n"},
        {"source": "file:///etc/passwd"},
        {"crc32": "xyz"},
        {"size_bytes": -1},
        {"size_bytes": 2**63},
        {"applied_at": "2026"},
        {"media_type": "\x00"},
        {"selection": "\u202eevil"},
        {"mirror": "\u202eevil"},
    ],
    ids=str,
)
def test_records_with_a_valid_checksum_are_still_validated(change):
    """References, times and sizes are checked, for reading and for writing."""
    planted = replace(RECORD, **change)
    assert lines_of(Snapshot({planted.destination: planted}))[0]["records"] == 0
    from imgsync.state.record import to_line

    lines = [lines_of(EMPTY)[0] | {"records": 1, "lines": 1}, {"kind": "record", **to_line(planted)}]

    with pytest.raises(StateError, match="line 2 is not a valid record"):
        read(raw_of(lines))


def altered() -> Iterator[object]:
    raw = written(FULL)
    parts = raw.splitlines(keepends=True)
    header = lines_of(FULL)[0]
    yield pytest.param(b"", "line 1 is not a header", id="empty")
    yield pytest.param(b"\n", "line 1 is not a header|line 1 is not JSON", id="blank")
    yield pytest.param(b"\x1f\x8b\x08garbage\n", "line 1 is not JSON", id="binary")
    yield pytest.param(b"[]\n", "line 1 is not a JSON object", id="list")
    yield pytest.param(b"[" * 100_000 + b"\n", "line 1 is not JSON", id="deep")
    yield pytest.param(b"".join(parts[1:]), "line 1 is not a header", id="no header")
    yield pytest.param(raw_of([header | {"format": "imgsync.plan/v1"}]), "line 1 is not a header", id="another document")
    yield pytest.param(raw_of([header | {"lines": "8"}]), "line 1 is not a header", id="header's count is text")
    yield pytest.param(raw_of([header | {"format": "imgsync.state/v2"}]), "this version reads imgsync.state/v1", id="later version")
    yield pytest.param(b"".join(parts[:-1]), "was truncated or changed", id="last line missing")
    yield pytest.param(parts[0], "was truncated or changed", id="header alone")
    yield pytest.param(raw[:-1], "line 9 is truncated", id="last newline missing")
    yield pytest.param(raw[:-20], "line 9 is truncated", id="cut within a line")
    yield pytest.param(raw + parts[-1], "was truncated or changed", id="a line more")
    yield pytest.param(b"".join([parts[0], parts[1], *parts[1:]]), "line 3 repeats r.io/m/app:1", id="a record twice")
    yield pytest.param(raw.replace(b"kubernetes", b"kuber\xffetes"), "line 7 is not JSON", id="no UTF-8")
    yield pytest.param(parts[0] + b"\n" + b"".join(parts[1:]), "line 2 is not JSON", id="blank line")


@pytest.mark.parametrize(("raw", "message"), list(altered()))
def test_altered_lines_are_an_error(raw, message):
    """Truncated, extended, or other versions: an error with the place, and nothing is imported."""
    with pytest.raises(StateError, match=message):
        read(raw)


@pytest.mark.parametrize(
    ("limit", "value", "message"), [("LINE_LIMIT", 100, "is longer"), ("LINES_LIMIT", 3, "more than 3 lines"), ("BYTES_LIMIT", 500, "larger than")]
)
def test_input_over_a_limit_is_refused_while_reading(limit, value, message, monkeypatch):
    """Reading stops at the limit of a line, a count or the total."""
    monkeypatch.setattr(limits, limit, value)
    came: list[bytes] = []

    def endless() -> Iterator[bytes]:
        yield written(FULL)[:-1] if limit == "LINE_LIMIT" else written(FULL)
        while True:
            came.append(b"x" * 50 + (b"" if limit == "LINE_LIMIT" else b"\n"))
            yield came[-1]

    with pytest.raises(StateError, match=message):
        decode_lines(endless())
    assert len(came) < 10


def test_compression_bomb_is_refused_early():
    """128 KiB that inflate to 128 MiB use no more memory than one line may."""
    import tracemalloc

    bomb = _bomb()
    tracemalloc.start()
    try:
        with pytest.raises(StateError, match="longer than"):
            unpack(bomb)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def _bomb() -> bytes:
    import zlib

    packer = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    return b"".join([packer.compress(written(FULL)), *(packer.compress(piece) for _ in range(128)), packer.flush()])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is truncated"),
        (b"no gzip", "gzip data is damaged"),
        (pack(FULL, created_at=MOMENT)[:-9], "is truncated"),
        (pack(FULL, created_at=MOMENT)[:40], "is truncated"),
        (pack(FULL, created_at=MOMENT) + b"x", "unexpected data after"),
        (pack(FULL, created_at=MOMENT)[:-8] + b"\0\0\0\0" + pack(FULL, created_at=MOMENT)[-4:], "gzip data is damaged"),
    ],
    ids=["empty", "no gzip", "no checksum", "cut", "followed", "wrong checksum"],
)
def test_damaged_gzip_is_an_error(content, message):
    """Incomplete or damaged gzip is refused."""
    with pytest.raises(StateError, match=message):
        unpack(content)


def test_store_takes_over_a_snapshot(tmp_path: Path):
    """The store holds exactly the snapshot; where it was pulled from is not part of it."""

    def opened():
        return open_state(str(tmp_path / "state"), thread=NativeThread(), lock_timeout_seconds=0, on_warning=pytest.fail)

    other = replace(RECORD, destination="r.io/m/app:9")
    with opened() as state:
        state.put([other], seen=[("s.io/x", DIGESTS[2], MOMENT)])
        state.put_pulled("r.io/state:main", "digests")
        state.replace_all(FULL)
        assert state.snapshot() == FULL
    with opened() as state:
        assert state.snapshot() == FULL
        assert (state.remaining, state.requeues, dict(state.last_successes)) == (("r.io/m/app:2",), 1, {"kubernetes": MOMENT})
        assert state.get_pulled("r.io/state:main") == "digests"
        assert b"digests" not in written(state.snapshot())
