"""Kept changes: what is read is what was added, sorted, in little memory."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.oci.spec.reference import Repository
from imgsync.plan.kept_changes import KeptChanges, make_key
from imgsync.plan.model import Action, Change, Plan
from imgsync.system import sorted_runs


def make_change(tag: str, *, repository: str = "team/app", reason: str = "unchanged since it was pushed", left_out: tuple[str, ...] = ()) -> Change:
    digest = f"sha256:{hashlib.sha256(f'{repository}:{tag}'.encode()).hexdigest()}"
    source, destination = Repository("source.example", repository).with_name(tag), Repository("mirror.example:5000", f"m/{repository}").with_tag(tag)
    return Change(Action.KEEP, "a", source, digest, destination, digest, None, 1000, reason, left_out=left_out)


tags = st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,8}", fullmatch=True)
changes = st.builds(make_change, tags, repository=st.sampled_from(["a", "a/b", "a2", "a10", "a02"]), reason=st.text(max_size=5))


@pytest.fixture(autouse=True)
def small_runs(request, monkeypatch):
    if "real_sizes" not in request.fixturenames:
        monkeypatch.setattr(sorted_runs, "_RUN", 5)
        monkeypatch.setattr(sorted_runs, "BLOCK", 2)


@pytest.fixture
def real_sizes():
    """Runs and blocks are as large as in the program."""


def collect(found) -> KeptChanges:
    kept = KeptChanges("a")
    for change in found:
        kept.add(change)
    return kept


@given(st.lists(changes, max_size=40, unique_by=make_key))
def test_reading_gives_what_was_added_sorted(found):
    kept = collect(found)

    assert list(kept) == sorted(found, key=make_key)
    assert list(kept) == sorted(found, key=make_key), "a second reading gives the same"
    assert len(kept) == len(found)


@given(st.lists(changes, max_size=60, unique_by=make_key), st.integers(0, 60))
def test_changes_added_after_a_reading_are_sorted_in(found, split):
    first, later = found[:split], found[split:]
    kept = collect(first)
    list(kept)
    for change in later:
        kept.add(change)

    assert list(kept) == sorted([*first, *later], key=make_key)


def test_every_field_survives_packing():
    pinned = f"v1@sha256:{'1' * 64}"
    found = [make_change(tag, reason="é \u2028 \ud800", left_out=("linux/arm64",)) for tag in (pinned, "v1", *map(str, range(20)))]

    assert sorted(collect(found), key=repr) == sorted(found, key=repr)


def test_selection_keeps_the_order():
    kept = collect(make_change(str(number)) for number in range(30))

    assert [change.source.tag for change in kept.select(lambda change: int(change.source.tag) % 10 == 0)] == ["0", "10", "20"]


def test_plan_puts_kept_tags_after_those_of_their_mirror():
    others = [
        Change(Action.CREATE, mirror, change.source, None, change.destination, None, None, None, "new")
        for mirror, change in (("a", make_change("0")), ("b", make_change("1")))
    ]
    plan = Plan(tuple(others), kept=(collect([make_change("3"), make_change("2")]), KeptChanges("b")))

    assert [(change.mirror, change.action.value, change.source.tag) for change in plan.iter_changes()] == [
        ("a", "create", "0"),
        ("a", "keep", "2"),
        ("a", "keep", "3"),
        ("b", "create", "1"),
    ]
    assert plan.counts["keep"] == 2
    assert plan.id == Plan(tuple(plan.iter_changes())).id


@pytest.mark.usefixtures("real_sizes")
def test_kept_tag_takes_a_hundred_bytes_at_most():
    tracemalloc.start()
    try:
        kept = collect(make_change(f"v1.{number}.0", repository=f"team/r{number // 1000}") for number in range(20_000))
        kept.pack()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held / len(kept) < 100
