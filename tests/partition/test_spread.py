"""Work is spread evenly, and the same on each machine."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from imgsync.partition.spread import spread

weights = st.dictionaries(st.text(max_size=4), st.integers(0, 1000), max_size=40)


@given(weights, st.integers(1, 9))
def test_every_name_is_in_one_share(found, count):
    """Shares are numbered from 0."""
    shares = spread(found, count)

    assert shares.keys() == found.keys()
    assert all(0 <= share < count for share in shares.values())


@given(weights, st.integers(1, 9))
def test_no_share_exceeds_its_bound(found, count):
    """None has more than the mean and the largest weight."""
    loads = [sum(found[name] for name, share in spread(found, count).items() if share == number) for number in range(count)]

    assert max(loads) <= sum(found.values()) / count + max(found.values(), default=0)


@given(weights, st.integers(1, 9), st.randoms(use_true_random=False))
def test_order_of_names_does_not_matter(found, count, shuffle: random.Random):
    """Two machines that read a plan in another order agree."""
    names = list(found)
    shuffle.shuffle(names)

    assert spread({name: found[name] for name in names}, count) == spread(found, count)


def test_largest_weights_are_spread_first():
    """So small ones fill the gaps."""
    assert spread({"a": 5, "b": 4, "c": 3, "d": 3, "e": 3}, 2) == {"a": 0, "b": 1, "c": 1, "d": 0, "e": 1}
