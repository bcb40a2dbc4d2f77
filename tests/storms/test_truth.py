"""Records of deleted tags stay true after a lost answer."""

from __future__ import annotations

import json
import signal

import pytest

from tests import switches
from tests.storms.stores import DiskStore
from tests.support.images import image
from tests.support.run_imgsync import finish
from tests.switches.storms import Blow, DeletesTags

OLD, NEW = image("truth old", layers=1), image("truth new", layers=1)


@pytest.fixture
def store(second_registry):
    return DiskStore(second_registry)


@pytest.mark.parametrize("how", ["killed", "answer lost"])
def test_pruned_tag_that_is_selected_again(how, lab, store):
    """A deletion that was not recorded leaves no record of the tag."""
    lab.push("app", "1", OLD)
    lab.push("app", "2", NEW)
    deletes = DeletesTags(store)
    lab.destination.add(deletes)
    lab.declare("app", "prune: true")
    assert lab.run("apply").code == 0
    lab.declare("app", "prune: true\ntags: {names: ['2']}")
    if how == "killed":
        lab.destination.clear()
        blow = lab.destination.add(Blow(signal.SIGKILL, answered=True), method="DELETE")
        lab.destination.add(deletes)
        process = lab.start("apply")
        blow.at(process.pid)
        assert finish(process).code == -signal.SIGKILL
    else:
        lab.destination.add(switches.reset(), method="DELETE")
        assert lab.run("apply").code == 1
    assert set(store.tags(f"m/{lab.name}/app")) == {"2"}
    lab.destination.clear()
    lab.declare("app")

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, store.tags(f"m/{lab.name}/app").get("1")) == (0, OLD.digest), json.dumps(ran.json["outcomes"])
