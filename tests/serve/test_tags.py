"""The tags of a mirror: packed, counted, and changed by runs of parts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.gone_tag import GoneTag
from imgsync.plan.kept_changes import KeptChanges, make_key
from imgsync.plan.model import Action, Change
from imgsync.serve.tags import SeenTag, TagTable, make_gone, make_in_step
from imgsync.serve.views import TagState

_DIGEST = f"sha256:{'a' * 64}"
_ACTIONS = {TagState.IN_STEP: Action.KEEP, TagState.PENDING: Action.CREATE, TagState.FAILING: Action.UPDATE, TagState.HELD: Action.HOLD}


def seen(number: int, state: TagState = TagState.IN_STEP, error: str = "") -> SeenTag:
    """Return a tag of the mirror a."""
    source, destination = Reference(Repository("s.io", "app"), f"v{number}", ""), Reference(Repository("d.io", "m/app"), f"v{number}", "")
    held_until = "2026-12-01T00:00:00Z" if state is TagState.HELD else None
    return SeenTag(Change(_ACTIONS[state], "a", source, _DIGEST, destination, _DIGEST, "x/y", 7, "", held_until=held_until), state, error)


def table_of(*tags: SeenTag) -> TagTable:
    """Return a table as after a run of the whole mirror."""
    kept = KeptChanges("a")
    kept.update(tag.change for tag in tags if tag.state is TagState.IN_STEP)
    return TagTable("a", kept, [tag for tag in tags if tag.state is not TagState.IN_STEP])


def test_tags_are_sorted_naturally():
    """v9 comes before v10, whatever their states."""
    table = table_of(seen(10), seen(9, TagState.FAILING, "no space left"), seen(2, TagState.HELD))
    assert [view.source for view in table] == ["s.io/app:v2", "s.io/app:v9", "s.io/app:v10"]
    assert [view.reason for view in table] == ["", "no space left", ""]
    assert next(iter(table)).since == "2026-12-01T00:00:00Z"
    assert table.counts == {TagState.IN_STEP: 1, TagState.FAILING: 1, TagState.HELD: 1}


def test_copied_tag_is_in_step_with_what_was_pushed():
    """Its digest at the destination is the one of the copy."""
    change = Change(Action.CREATE, "a", seen(1).change.source, _DIGEST, seen(1).change.destination, None, "x/y", 7, "new", pushed_digest=f"sha256:{'b' * 64}")
    view = make_in_step(change).view
    assert (view.state, view.digest, view.reason) == (TagState.IN_STEP, f"sha256:{'b' * 64}", "")


_states = st.sampled_from(list(_ACTIONS))
_rows = st.dictionaries(st.integers(1, 30), _states, max_size=30)


@given(_rows, st.lists(st.tuples(st.integers(1, 30), st.none() | _states), max_size=40))
def test_changed_table_is_as_one_made_anew(first, changes):
    """Putting and removing tags gives the same views and counts as a table of what is left."""
    table, known = table_of(*(seen(number, state) for number, state in first.items())), dict(first)
    for number, state in changes:
        if state is None:
            table.remove(make_key(seen(number).change))
            known.pop(number, None)
        else:
            table.put(seen(number, state))
            known[number] = state
    anew = table_of(*(seen(number, state) for number, state in known.items()))
    assert list(table) == list(anew)
    assert table.counts == anew.counts == Counter(known.values())
    assert [change.source.tag for change in table.iter_in_step()] == [f"v{number}" for number in sorted(known) if known[number] is TagState.IN_STEP]
    assert all(table.find(make_key(seen(number).change)).state is state for number, state in known.items())


def test_gone_tag_is_as_the_plan_has_it():
    """It can be read back for the plan."""
    tag = GoneTag("a", seen(1).change.source, seen(1).change.destination, _DIGEST, "2026-01-01T00:00:00Z", "not in the list of tags")
    table = TagTable("a", others=[make_gone(tag)])
    assert [one.gone for one in table.iter_others()] == [tag]
    assert table.counts == {TagState.GONE: 1}
