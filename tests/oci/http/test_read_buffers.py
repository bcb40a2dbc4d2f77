"""Memory of large bodies: used again, but never while it is looked at."""

from __future__ import annotations

from collections import deque

import pytest

from imgsync.oci.http import read_buffers
from imgsync.oci.http.read_buffers import ReadBuffers

KIB = 1 << 10
SIZE = 256 * KIB


@pytest.fixture(autouse=True)
def no_full_buffers(monkeypatch) -> None:
    """Forget the buffers of other tests."""
    monkeypatch.setattr(read_buffers, "_full", deque(maxlen=read_buffers._full.maxlen))


def fill_with(number: int, count: int):
    """Return a source that gives *count* bytes of *number* at most."""

    def receive_into(buffer: memoryview) -> int:
        came = min(count, len(buffer))
        buffer[:came] = bytes([number]) * came
        return came

    return receive_into


def read(buffers: ReadBuffers, number: int, count: int = SIZE) -> memoryview:
    return buffers.read(SIZE, fill_with(number, count), buffer_bytes=SIZE)


def test_kept_bytes_are_never_overwritten():
    """A slow destination may keep any number of pieces, or a part of one."""
    buffers = ReadBuffers()
    whole = [read(buffers, number) for number in range(8)]
    parts = [read(buffers, number)[-3:] for number in range(8)]

    for number in range(8):
        read(buffers, 99)
        assert (whole[number], parts[number]) == (bytes([number]) * SIZE, bytes([number]) * 3)


def test_two_buffers_serve_a_quick_destination():
    """Each piece is dropped when the next one comes, as in a loop over a generator."""
    buffers, seen = ReadBuffers(), []
    piece = None
    for number in range(8):
        piece = read(buffers, number)
        seen.append(id(piece.obj))

    assert seen == seen[:2] * 4


def test_bodies_that_keep_some_pieces_need_no_new_memory():
    """Ten bodies whose pieces are written by threes, as to a bundle."""
    bodies = [(ReadBuffers(), []) for _ in range(10)]

    # Kept, so that no other buffer gets the same id.
    seen = {}

    def read_rounds(count: int) -> None:
        for _ in range(count):
            for buffers, kept in bodies:
                if len(kept) == 3:
                    kept.clear()
                kept.append(read(buffers, 1))
                seen[id(kept[-1].obj)] = kept[-1].obj

    read_rounds(6)
    first = len(seen)
    read_rounds(30)

    assert len(seen) == first


def test_small_reads_share_one_buffer():
    """Kept pieces of a slow source cost little more memory than their length."""
    buffers = ReadBuffers()

    kept = [read(buffers, number, KIB) for number in range(240)]

    assert len({id(piece.obj) for piece in kept}) == 1
    assert all(piece == bytes([number]) * KIB for number, piece in enumerate(kept))


def test_end_of_the_stream_is_an_empty_piece():
    """It uses no space."""
    buffers = ReadBuffers()

    assert len(read(buffers, 1, 0)) == 0
    assert read(buffers, 2) == bytes([2]) * SIZE


def test_buffers_shrink_when_more_bodies_share_the_memory():
    """A buffer of another size is not used again."""
    buffers = ReadBuffers()
    for number in range(4):
        read(buffers, number)

    sizes = [len(buffers.read(SIZE, fill_with(number, SIZE), buffer_bytes=SIZE // 4)) for number in range(4)]

    assert sizes == [SIZE // 4] * 4
