"""The order of changes: those that the last run left go first."""

from __future__ import annotations

from imgsync.apply.order import ChangeOrder
from imgsync.oci.spec.reference import Repository
from imgsync.plan.model import Action, Change


def change(name: str) -> Change:
    source, destination = Repository("s.io", "app").with_tag(name), Repository("r.io", "app").with_tag(name)
    return Change(Action.CREATE, "m", source, None, destination, None, None, None, "not at the destination")


def test_without_anything_left_nothing_is_held_back():
    """Each comes as it is known."""
    order = ChangeOrder(())

    assert order.add([change("a")]) == [[change("a")]]
    assert order.add([change("b")]) == [[change("b")]]


def test_what_was_left_comes_first_in_its_order_as_soon_as_all_of_it_is_known():
    """Others wait for it, and it for its like; from then on nothing waits."""
    order = ChangeOrder(["r.io/app:z", "r.io/app:y"])

    assert order.add([change("a")]) == []
    assert order.add([change("y")]) == []
    assert order.add([change("z")]) == [[change("z")], [change("y")], [change("a")]]
    assert order.add([change("b")]) == [[change("b")]]


def test_who_waited_long_enough_goes_on_with_what_is_known():
    """A plan that takes for ever does not hold everything back for ever."""
    order = ChangeOrder(["r.io/app:z", "r.io/app:y"])
    order.add([change("a")])
    order.add([change("y"), change("b")])

    assert order.release() == [[change("y"), change("b")], [change("a")]]
    assert order.release() == []
    assert order.add([change("c")]) == [[change("c")]]
