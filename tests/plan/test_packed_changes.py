"""Packed changes: what is read is what was packed, and nothing shows that it was."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.oci.spec.reference import Repository
from imgsync.plan import packed_changes
from imgsync.plan.model import COPIES, PENDING, Action, Change, Plan, count_actions
from imgsync.plan.packed_changes import PackedChanges, pack_changes
from imgsync.render.plan_table import PlanView, render_plan_table
from imgsync.system import packed_rows
from tests.support.plans import change, plan

texts = st.text(max_size=5)
digests = st.none() | st.just("sha256:" + 64 * "a")
changes = st.builds(
    Change,
    st.sampled_from(Action),
    st.sampled_from(["a", "b"]),
    st.builds(Repository("s.io", "app").with_name, st.from_regex(r"[a-z0-9_][a-z0-9._-]{0,8}", fullmatch=True)),
    digests,
    st.builds(Repository("r.io", "m/app").with_tag, texts),
    digests,
    st.none() | texts,
    st.none() | st.integers(0, 1 << 62),
    texts,
    st.none() | texts,
    st.lists(texts, max_size=2).map(tuple),
    st.none() | texts,
    digests,
)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_rows, "BLOCK", 2)
        patch.setattr(packed_rows, "_FEW", 4)
        patch.setattr(packed_changes, "_FEW", 2)
        yield


@given(st.lists(changes, max_size=20), st.integers(0, 20))
def test_packed_changes_are_read_as_they_were(found, split):
    """In order and by place, however many were added later."""
    packed = PackedChanges(found[:split])
    for one in found[split:]:
        packed.append(one)

    assert list(packed) == found
    assert [packed[place] for place in reversed(range(len(packed)))] == found[::-1]
    assert count_actions(packed) == count_actions(tuple(found))


@given(st.lists(changes, max_size=20))
def test_plan_shows_no_difference_when_packed(found):
    """The same id, counts, selections and text as with values."""
    found.sort(key=lambda one: one.mirror)
    plain = plan(*found)
    packed = replace(plain, changes=PackedChanges(found))

    assert packed.id == plain.id
    assert packed.counts == plain.counts
    for actions in (COPIES, PENDING, {Action.KEEP}):
        assert tuple(packed.select(actions)) == plain.select(actions)
        assert len(packed.select(actions)) == len(plain.select(actions))
    for view in (PlanView(), PlanView(show_kept=True)):
        assert render_plan_table(packed, view) == render_plan_table(plain, view)


def test_few_changes_stay_values():
    assert pack_changes([change(), change()]) == (change(), change())
    assert isinstance(pack_changes([change(), change(), change()]), PackedChanges)


def test_packed_change_takes_little_memory(monkeypatch):
    """Half a KiB or more as objects."""
    monkeypatch.undo()
    monkeypatch.setattr(packed_rows, "BLOCK", 128)
    monkeypatch.setattr(packed_rows, "_FEW", 1024)
    tracemalloc.start()
    packed = PackedChanges(change(tag=f"1.{number}") for number in range(4096))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 100 * len(packed)


def test_plan_with_kept_tags_is_read_without_holding_it():
    """The changes of a mirror come before its kept ones, and are read one by one."""
    first, second = change(mirror="a"), change(mirror="b")
    read = []

    class Kept(tuple):
        mirror = "a"

    found = Plan((first, second), kept=(Kept([change(Action.KEEP, mirror="a")]),)).iter_changes()
    read += [next(found).mirror, next(found).action, next(found).mirror]

    assert read == ["a", Action.KEEP, "b"]
