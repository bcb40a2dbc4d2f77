"""What must stay on one machine is joined."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imgsync.partition.units import join_units

names = st.sampled_from("abcdefgh")
pairs = st.lists(st.tuples(names, names), max_size=12)


def test_pairs_are_joined_through_others():
    """The unit is its first name."""
    assert join_units([("b", "c"), ("d", "e"), ("c", "a")]) == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}


@given(pairs)
def test_units_are_the_connected_names(found):
    """As a search from each name finds them."""
    neighbours = {name: {name} for pair in found for name in pair}
    for one, other in found:
        neighbours[one].add(other)
        neighbours[other].add(one)
    for _ in neighbours:
        neighbours = {name: set().union(*(neighbours[near] for near in around)) for name, around in neighbours.items()}

    assert join_units(found) == {name: min(near) for name, near in neighbours.items()}


@given(pairs, st.randoms(use_true_random=False))
def test_order_of_pairs_does_not_matter(found, shuffle):
    """Nor which name of a pair comes first."""
    again = [(other, one) for one, other in found]
    shuffle.shuffle(again)

    assert join_units(again) == join_units(found)
