"""Check the state: its lines, its database, its copy in a registry."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.canned import Canned
from fuzz.laws.shared import BLOB, MOMENT, REPOSITORY, make_folder
from imgsync.errors import ImgsyncError, StateError
from imgsync.oci.spec.digest import is_digest
from imgsync.state import StateStore, open_state
from imgsync.state.jsonl import decode_lines, encode_lines
from imgsync.state.record import Record
from imgsync.state.remote.artifact import pull_artifact
from imgsync.state.remote.packing import unpack


def states(data: bytes) -> None:
    """
    Check an exported state and an artifact that holds one.

    The export is plain or gzipped. What was read can be written and read again; otherwise there is an error that says where.
    """
    read = None
    with contextlib.suppress(StateError):
        read = unpack(data) if data.startswith(b"\x1f\x8b") else decode_lines([data[: len(data) // 2], data[len(data) // 2 :]])
    if read is not None:
        again = decode_lines(encode_lines(read.snapshot, created_at=MOMENT))
        assert again.snapshot == read.snapshot
    # Random bytes are almost never valid gzip, so the input is packed here to reach the parser behind it.
    with contextlib.suppress(StateError):
        packer = zlib.compressobj(1, wbits=31)
        unpack(packer.compress(data) + packer.flush())
    with contextlib.suppress(ImgsyncError):
        artifact = pull_artifact(Canned(data).client, REPOSITORY.with_tag("state"))
        assert artifact is None or all(map(is_digest, artifact.ancestors))


def databases(data: bytes) -> None:
    """
    Check a state directory with a damaged database.

    It is opened, or moved aside with a warning. Every record that is left is valid and can be removed.
    """
    folder = make_folder() / "state"
    shutil.rmtree(folder, ignore_errors=True)
    for aside in folder.parent.glob("state.broken-*"):
        shutil.rmtree(aside)
    folder.mkdir(mode=0o700)
    (folder / "cache.db").write_bytes(_edit(_database(), data))
    (folder / "cache.db").chmod(0o600)
    with contextlib.suppress(StateError):
        with _open(folder) as state:
            records = state.snapshot().records
            assert all(record.destination == destination for destination, record in records.items())
            state.remove(records)
        with _open(folder) as state:
            assert state.snapshot().records == {}


def _open(folder: Path) -> contextlib.AbstractContextManager[StateStore]:
    return open_state(str(folder), thread=_ThisThread(), lock_timeout_seconds=0, on_warning=lambda _: None)


class _ThisThread:
    def run(self, function: Callable[[], Any]) -> Any:
        return function()


@functools.cache
def _database() -> bytes:
    """Return the database of a state with one record and one note."""
    record = Record("r.corp.com/m/app:1", BLOB.digest, "0123abcd", 10, "x/y", "s.io/app:1", BLOB.digest, "platforms=all", MOMENT, "a")
    with tempfile.TemporaryDirectory() as folder:
        with open_state(f"{folder}/state", thread=_ThisThread(), lock_timeout_seconds=0, on_warning=lambda _: None) as state:
            state.put([record], seen=[("s.io/app", BLOB.digest, MOMENT)])
        return Path(folder, "state", "cache.db").read_bytes()


def _edit(content: bytes, edits: bytes) -> bytes:
    """
    Return *content* changed by *edits*.

    Each four bytes of *edits* are one change: three bytes for the place, one for the new value. One extra byte at the end cuts the content at the last place.
    """
    changed = bytearray(content)
    place = 0
    for begin in range(0, len(edits) - 3, 4):
        place = int.from_bytes(edits[begin : begin + 3], "big") % len(changed)
        changed[place] = edits[begin + 3]
    return bytes(changed[:place] if len(edits) % 4 == 1 else changed)
