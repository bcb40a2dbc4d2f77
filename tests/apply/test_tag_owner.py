"""The mirror in a record: written once, kept while declared, taken over when renamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.apply.tag_owner import TagOwners
from imgsync.concurrency.native_thread import NativeThread
from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.state import Record, open_state
from imgsync.state.record import BY_HAND
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


@pytest.mark.parametrize("changed", ["updated", "pushed again"])
def test_tag_belongs_to_the_mirror_that_pushed_what_is_there(changed, lab, stored):
    """Not to another that only found it there, or that pushed what was there before; then pruning that mirror would delete it."""
    lab.push("app", "1", image(1))
    lab.declare("app", "prune: true")
    if changed == "updated":
        lab.push_to_destination("app", "1", image(1))
    assert lab.run("apply").code == 0
    lab.declare("app", "tags: {include: ['9']}\nprune: true")
    lab.push("app", "1", image(2))
    lab.push("app", "9", image(9))
    lab.workplace.mirror("b", source=f"{lab.source.host}/{lab.name}/app", tags={"include": ["1"]}, destinations=[f"{lab.destination.host}/m"])

    assert lab.run("apply").code == 0

    assert stored() == {"1": "b", "9": "a"}


def declare_copy(lab, settings: str) -> None:
    """Declare a mirror that is named as the outputs of `imgsync copy` name it."""
    lab.declare("app", settings)
    file = lab.folder / "mirrors.d/a.yaml"
    lab.write("mirrors.d/a.yaml", file.read_text().replace("name: a\n", "name: copy\n"))


@pytest.mark.row("GIT-10")
@pytest.mark.parametrize("is_known", [False, True], ids=["new", "of a mirror before"])
def test_tag_copied_by_hand_belongs_to_no_mirror(is_known, lab, stored):
    """Neither to one that is named `copy`, nor to one that pushed the tag before; so none deletes it."""
    lab.push("app", "1", image(1))
    lab.push("app", "2", image(2))
    lab.push("other", "1", image("by hand"))
    declare_copy(lab, "prune: true")
    if is_known:
        assert lab.run("apply").code == 0
    target = f"{lab.destination.host}/m/{lab.name}/app:1"
    copied = lab.run("copy", f"{lab.source.host}/{lab.name}/other:1", target, "-o", "json")
    assert [one["mirror"] for one in copied.json["outcomes"]] == ["copy"]
    declare_copy(lab, "prune: true\ntags: {include: ['2']}")

    ran = lab.run("apply", "-o", "json")

    assert (ran.code, ran.json["summary"]["deleted"]) == (0, 0), ran.stderr
    assert stored() == {"1": "imgsync copy", "2": "copy"}
    assert lab.served_tags("app") == ["1", "2"]
    explained = lab.run("plan", "--explain", env={"COLUMNS": "300"}).stdout
    assert f"1 tag is not deleted, because `imgsync copy` pushed it: {target}" in explained


@pytest.mark.parametrize("is_complete", [False, True])
def test_mirror_that_selects_a_tag_copied_by_hand_does_not_take_it(is_complete):
    """It did not push it."""
    owners = TagOwners(Config((MIRROR,), RegistriesConfig(), is_complete=is_complete))

    assert owners.find(change(), replace(RECORD, mirror=BY_HAND)) == BY_HAND


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
