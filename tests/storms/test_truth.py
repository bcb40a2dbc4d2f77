"""What the state says of a tag that was deleted stays true when a run ends, or an answer is lost, before that is noted."""

from __future__ import annotations

import json
import signal

import pytest

from tests import switches
from tests.storms.stores import DiskStore
from tests.support.images import image, push
from tests.support.run_imgsync import finish
from tests.switches.storms import Blow, DeletesTags

OLD, NEW = image("truth old", layers=1), image("truth new", layers=1)


@pytest.fixture
def store(second_registry):
    return DiskStore(second_registry)


@pytest.mark.parametrize("how", ["killed", "answer lost"])
def test_tag_that_was_pruned_and_is_wanted_again(how, registry, name, declare, imgsync, start_imgsync, destination, store, write):
    """A deletion that nobody could note does not leave a record that says the tag is there."""
    push(registry, f"{name}/app", "1", OLD)
    push(registry, f"{name}/app", "2", NEW)
    deletes = DeletesTags(store)
    destination.add(deletes)
    declare(f"[{name}/app]", "prune: true")
    assert imgsync("apply").code == 0
    declare(f"[{name}/app]", "prune: true\ntags: {names: ['2']}")
    if how == "killed":
        destination.clear()
        blow = destination.add(Blow(signal.SIGKILL, answered=True), method="DELETE")
        destination.add(deletes)
        process = start_imgsync("apply")
        blow.at(process.pid)
        assert finish(process).code == -signal.SIGKILL
    else:
        destination.add(switches.reset(), method="DELETE")
        assert imgsync("apply").code == 1
    assert set(store.tags(f"m/{name}/app")) == {"2"}
    destination.clear()
    declare(f"[{name}/app]")

    ran = imgsync("apply", "-o", "json")

    assert (ran.code, store.tags(f"m/{name}/app").get("1")) == (0, OLD.digest), json.dumps(ran.json["outcomes"])
