"""The order of changes: those that the last run left go first."""

from __future__ import annotations

from imgsync.apply.order import ChangeOrder
from imgsync.oci.spec.reference import Repository
from imgsync.plan.model import Action, Change


def change(name: str) -> Change:
    source, destination = Repository("s.io", "app").with_tag(name), Repository("r.io", "app").with_tag(name)
    return Change(Action.CREATE, "m", source, None, destination, None, None, None, "not at the destination")


def test_changes_pass_at_once_if_nothing_was_left():
    """Without leftovers of the last run each change passes as it is planned."""
    order = ChangeOrder(())

    assert order.add([change("a")]) == [[change("a")]]
    assert order.add([change("b")]) == [[change("b")]]


def test_leftovers_come_first_in_their_order():
    """Other changes wait until all leftovers are known; then nothing waits."""
    order = ChangeOrder(["r.io/app:z", "r.io/app:y"])

    assert order.add([change("a")]) == []
    assert order.add([change("y")]) == []
    assert order.add([change("z")]) == [[change("z")], [change("y")], [change("a")]]
    assert order.add([change("b")]) == [[change("b")]]


def test_waiting_for_leftovers_ends():
    """A plan that never ends does not hold changes back forever."""
    order = ChangeOrder(["r.io/app:z", "r.io/app:y"])
    order.add([change("a")])
    order.add([change("y"), change("b")])

    assert order.release() == [[change("y"), change("b")], [change("a")]]
    assert order.release() == []
    assert order.add([change("c")]) == [[change("c")]]
