"""Values sorted in packed runs, and two sorted series compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.system import sorted_runs
from imgsync.system.packed_rows import PackedSequence, pack_texts
from imgsync.system.sorted_runs import SortedRuns, SortedTexts, iter_unknown

names = st.text("ab\ud800é", max_size=3)


@pytest.fixture(scope="module", autouse=True)
def small_runs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_runs, "_RUN", 4)
        patch.setattr(sorted_runs, "BLOCK", 2)
        yield


@given(st.lists(st.tuples(names, st.integers(0, 9)), max_size=40))
def test_equal_keys_stay_in_their_order(found):
    runs = SortedRuns[tuple[str, int]](lambda row: row[0], tuple, lambda *row: row)
    runs.update(found)

    assert list(runs) == sorted(found, key=lambda row: row[0])
    assert len(runs) == len(found)


@given(st.lists(names, max_size=20), st.sets(names, max_size=20))
def test_unknown_values_are_those_of_no_other_series(values, known):
    others = SortedTexts()
    others.update(known)

    assert list(iter_unknown(sorted(values), others, key=str)) == [one for one in sorted(values) if one not in known]


@pytest.mark.parametrize(("values", "known"), [("ba", "c"), ("ab", "ba")])
def test_unsorted_values_are_never_compared(values, known):
    """Else a tag that is selected could count as one that is not, and be deleted."""
    with pytest.raises(ValueError, match="not sorted"):
        list(iter_unknown(values, known, key=str))


def test_packed_texts_keep_their_order():
    found = [str(number) for number in range(3000, 0, -1)]

    assert isinstance(pack_texts(found), PackedSequence)
    assert (list(pack_texts(found)), len(pack_texts(found))) == (found, 3000)
    assert "17" in pack_texts(found)
    assert pack_texts(["b", "a"]) == ("b", "a")
