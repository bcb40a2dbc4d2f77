"""Pages, metrics and documents of 20,000 tags stay quick and small."""

from __future__ import annotations

import time

import pytest

from imgsync.plan.kept_changes import KeptChanges
from imgsync.plan.model import Action
from imgsync.serve.tags import TagTable
from tests.figures import record
from tests.support import board as boards

_TAGS = 20_000


@pytest.fixture(scope="module")
def many() -> boards.TestBoard:
    """Two hundred mirrors of a hundred tags."""
    return boards.large_board(one=0)


@pytest.fixture(scope="module")
def one() -> boards.TestBoard:
    """One mirror of 20,000 tags, packed as the product has them."""
    board = boards.TestBoard()
    kept = KeptChanges("everything")
    for tag in range(_TAGS):
        name = f"r{tag // 50:04}/app:{tag}"
        kept.add(boards.make_change(Action.KEEP, "everything", f"registry.example/{name}", f"registry.internal:5000/e/{name}"))
    board.add(boards.make_mirror("everything", "registry.example"), boards.make_tags("r.io/a", "r.io/b", ["1"]))
    board.tags["everything"] = TagTable("everything", kept)
    return board


@pytest.mark.row("SRV-12")
@pytest.mark.parametrize(
    ("board", "path", "milliseconds"),
    [
        ("many", "/", 300),
        ("many", "/?q=team-1&state=in_step", 300),
        ("many", "/mirrors/team-001", 300),
        ("many", "/metrics", 100),
        ("one", "/mirrors/everything", 300),
        ("one", "/mirrors/everything?page=200", 600),
        ("one", "/mirrors/everything?q=r0399", 600),
        ("many", "/runs", 300),
    ],
)
def test_answers_of_20000_tags_are_quick_and_small(board, path, milliseconds, request, site):
    """In processor time, once the templates are read; no page has more than 300 KiB."""
    board = request.getfixturevalue(board)
    large = site(board)
    times = []
    for _ in range(4):
        board.version += 1
        began = time.thread_time()
        answer = large.get(path)
        size = len(answer.data)
        times.append(time.thread_time() - began)
        assert answer.status_code == 200
    record(f"serve, 20,000 tags: `{path}`", round(min(times) * 1000), unit="ms", note=f"{size >> 10} KiB, processor time")

    assert min(times) * 1000 < milliseconds
    assert size < 300 << 10
