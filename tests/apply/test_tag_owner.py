"""The mirror in a record: written once, kept while declared, taken over when renamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.apply.tag_owner import TagOwners
from imgsync.concurrency.native_thread import NativeThread
from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.state import Record, open_state
from tests.support.images import image
from tests.support.plans import DIGEST, change

MIRROR = Mirror("a", Source("s.io", repositories=("app",)), (Destination("r.io", "m"),))
RECORD = Record("r.io/m/app:1", DIGEST, "0123abcd", 10, "x/y", "s.io/app:1", DIGEST, "platforms=all", "2026-03-02T10:00:00Z")


@pytest.mark.parametrize(
    ("name", "other", "is_complete", "owner"),
    [
        ("", None, True, "a"),
        ("a", None, True, "a"),
        ("b", None, True, "a"),
        ("b", None, False, "b"),
        ("b", replace(MIRROR, name="b"), True, "b"),
        ("b", replace(MIRROR, name="b", suspend=True), True, "b"),
        ("b", replace(MIRROR, name="b", source=Source("s.io", repositories=("other",))), True, "a"),
        ("b", replace(MIRROR, name="b", destinations=(Destination("r.io"),)), False, "a"),
    ],
    ids=["earlier version", "own", "removed or renamed", "not loaded", "declared too", "suspended", "repository moved", "destination moved"],
)
def test_tag_belongs_to_the_first_mirror_that_still_declares_it(name, other, is_complete, owner):
    """The mirror that selects it takes it over otherwise, but not from a mirror that is only not loaded."""
    mirrors = (MIRROR,) if other is None else (MIRROR, other)
    owners = TagOwners(Config(mirrors, RegistriesConfig(), is_complete=is_complete))

    assert owners.find(change(), replace(RECORD, mirror=name)) == owner
    assert owners.find(change(), None) == "a"


@pytest.fixture
def stored(workplace):
    """Return the mirror in each record, by tag; write another one first if given."""

    def read(mirror=None):
        folder = str(workplace.folder / ".imgsync" / "state")
        with open_state(folder, thread=NativeThread(), lock_timeout_seconds=5, on_warning=pytest.fail) as state:
            if mirror is not None:
                state.put([replace(record, mirror=mirror) for record in state.iter_records()])
            return {record.destination.rpartition(":")[2]: record.mirror for record in state.iter_records()}

    return read


@pytest.mark.parametrize("before", ["", "old"], ids=["earlier version", "renamed"])
def test_unchanged_tag_gets_its_mirror_without_a_request(before, lab, stored):
    """Once, with the next confirmation; the record is otherwise the same, and `state list` shows it."""
    lab.push("app", "1", image(1))
    lab.declare("app", "prune: true")
    assert lab.run("apply").code == 0
    assert stored(before) == {"1": before}
    known = lab.run("state", "list", "-o", "json").json
    lab.destination.forget()

    ran = lab.run("apply", "-o", "json")

    assert ran.json["summary"] == ran.json["summary"] | {"kept": 1, "copied": 0, "deleted": 0}
    assert lab.destination.seen == []
    assert lab.run("state", "list", "-o", "json").json == [one | {"mirror": "a"} for one in known]


def test_adopted_and_rebuilt_records_name_their_mirror(lab, stored):
    """Also what was only found, and what `state rebuild` records."""
    for tag in "12":
        lab.push("app", tag, image(int(tag)))
    lab.push_to_destination("app", "1", image(1))
    lab.declare("app")

    assert lab.run("state", "rebuild").code == 0
    assert stored() == {"1": "a"}
    assert lab.run("apply").code == 0
    assert stored() == {"1": "a", "2": "a"}
