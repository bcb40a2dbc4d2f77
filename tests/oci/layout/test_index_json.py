"""The index of a layout is parsed within bounds, and written with what others wrote."""

from __future__ import annotations

import json
import time

import pytest

from imgsync.errors import LayoutError
from imgsync.oci.layout.index_json import ENTRY_LIMIT, LayoutIndex, make_entry, parse_index, write_index
from imgsync.oci.layout.pauses import AT_ONCE
from tests.support.images import digest_of, to_json

DIGEST = digest_of(b"")
ENTRY = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 2}


def document(*entries: object, **others: object) -> bytes:
    """Return an index of *entries*."""
    return to_json({"schemaVersion": 2, **others, "manifests": list(entries)})


def test_written_index_is_read_again():
    """Both names are the full name."""
    entry = make_entry("application/vnd.oci.image.manifest.v1+json", DIGEST, 7, name="a/b:1")
    raw = write_index(LayoutIndex((entry, make_entry("x/y", DIGEST, 1, artifact_type="a/b"))))

    assert parse_index(raw, where="x").entries[0] == entry
    assert json.loads(raw) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": DIGEST,
                "size": 7,
                "annotations": {"io.containerd.image.name": "a/b:1", "org.opencontainers.image.ref.name": "a/b:1"},
            },
            {"mediaType": "x/y", "digest": DIGEST, "size": 1, "artifactType": "a/b"},
        ],
    }


def test_what_others_wrote_stays_byte_for_byte():
    """Spaces, unknown keys, escapes and letters of all languages."""
    other = '{ "size" : 2, "digest":"%s",\n"annotations": {"ключ": "\\u0041ж", "x": [1.50, null]}, "mediaType": "a/b" }' % DIGEST  # noqa: UP031
    raw = f'{{"ключ": "ü", "annotations": {{"a": "ü"}}, "manifests": [{other}], "schemaVersion": 2, "x": {{}} }}'.encode()

    written = write_index(parse_index(raw, where="x"))

    assert other.encode() in written
    assert json.loads(written) == json.loads(raw)


def test_known_entries_are_not_parsed_again():
    """They are found by their lines, wherever these are."""
    index = LayoutIndex(tuple(make_entry("a/b", DIGEST, number, name=f"a/b:{number}") for number in range(3)))
    known = {entry.raw: entry for entry in index.entries[:2]}
    changed = LayoutIndex((*index.entries[1:], make_entry("c/d", DIGEST, 9)))

    found = parse_index(write_index(changed), where="x", known=known)

    assert found == changed
    assert found.entries[0] is index.entries[1]


def parse_one_line(count: int) -> float:
    """Return the processor time to read *count* known entries again, in seconds, after another tool wrote them in one line."""
    index = LayoutIndex(tuple(make_entry("a/b", DIGEST, number, name=f"a/b:{number}") for number in range(count)))
    raw = document(*(json.loads(entry.raw) for entry in index.entries))
    began = time.process_time()
    assert len(parse_index(raw, where="x", known={entry.raw: entry for entry in index.entries}).entries) == count
    return time.process_time() - began


def test_index_in_one_line_takes_no_more_time_for_known_entries():
    """Looking for the end of the line from each entry would take 16 times as long for 4 times as many."""
    few, many = (min(parse_one_line(count) for _ in range(3)) for count in (1000, 4000))

    assert many < 8 * few


def test_long_index_is_parsed_and_written_with_pauses(monkeypatch):
    """Heartbeats and time limits of the run must not wait for 200,000 entries."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    index = LayoutIndex(tuple(make_entry("a/b", DIGEST, number, name=f"a/b:{number}") for number in range(3 * AT_ONCE)))

    raw = write_index(index)
    assert len(pauses) == 3
    assert parse_index(raw, where="x") == index
    assert len(pauses) == 6
    # gevent would run no timer in a pause of no time.
    assert min(pauses) > 0


def test_no_index_is_written_that_could_not_be_read_again():
    """The limit is said when the entry too much is added, not by the next run."""
    entry = make_entry("a/b", DIGEST, 1, name="a/b:1")
    assert write_index(LayoutIndex((entry,) * ENTRY_LIMIT))

    with pytest.raises(LayoutError) as caught:
        write_index(LayoutIndex((entry,) * (ENTRY_LIMIT + 1)))

    assert caught.value.message == "index.json would have more than 200,000 entries or 64 MiB"
    assert caught.value.hint == "use several layouts"


@pytest.mark.row("LAY-04")
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it is not valid JSON"),
        (b"[]", "it is not valid JSON"),
        (b"{}", "has not schemaVersion 2"),
        (document(ENTRY)[:-3], "it is not valid JSON"),
        (document(ENTRY) + b"{}", "it has content behind its end"),
        (b'{"schemaVersion":2,"manifests":{}}', "it is not valid JSON"),
        (b'{"schemaVersion":2,"manifests":[],"Manifests":[]}', "a key occurs twice"),
        (b'{"schemaVersion":2,"manifests":[{"digest":"a","digest":"b","size":1}]}', "a key occurs twice in one object"),
        (document("x"), "an entry is not an object"),
        (document({**ENTRY, "size": -1}), "an entry has no valid digest and size"),
        (document({**ENTRY, "size": True}), "an entry has no valid digest and size"),
        (document({**ENTRY, "size": 1 << 63}), "an entry has no valid digest and size"),
        (document({**ENTRY, "digest": None}), "an entry has no valid digest and size"),
        (b'{"schemaVersion":2,"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "it is not valid JSON"),
        (b'{"schemaVersion":2,"manifests":[' + b"[" * 200_000 + b"]" * 200_000 + b"]}", "it is not valid JSON"),
        (b'{"schemaVersion":2,"manifests":[{"size":' + b"9" * 5000 + b"}]}", "it is not valid JSON"),
        (b'{"schemaVersion":2,"x":[' + b"0," * 2_600_000 + b"0]}", "more than 2,500,000 values"),
    ],
)
def test_damaged_index_is_one_error(raw, message):
    """That names the file and what to do."""
    with pytest.raises(LayoutError) as caught:
        parse_index(raw, where="/media/usb")

    assert caught.value.message.startswith("/media/usb/index.json")
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.row("LAY-04")
def test_number_of_entries_is_bounded():
    """A million entries are refused after the first 200,000, before they take memory."""
    raw = b'{"schemaVersion":2,"manifests":[' + b",".join([to_json(ENTRY)] * (ENTRY_LIMIT + 1)) + b"]}"

    with pytest.raises(LayoutError) as caught:
        parse_index(raw, where="x")

    assert caught.value.message == "x/index.json: it has more than 200,000 entries"
    assert caught.value.hint == "split the layout into several"
