"""A plan is divided by the plan alone, without splitting a repository."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.partition.shard import Shard
from imgsync.plan.content import PlanContent, RepositoryContent, SharedBlob
from imgsync.plan.model import Action
from imgsync.plan.shards import Partition
from tests.support import plans

_PENDING = (Action.CREATE, Action.UPDATE, Action.DELETE, Action.KEEP)
_names = st.sampled_from("abcdef")


@st.composite
def divided(draw):
    """Return a plan with content, and a number of shards."""
    rows = draw(st.lists(st.tuples(_names, _names, st.sampled_from("xy"), st.sampled_from(_PENDING)), min_size=1, max_size=14))
    changes = tuple(
        plans.change(action, str(number), source=f"s{of}.io/{source}:{number}", destination=f"r.io/m/{destination}:{number}")
        for number, (source, destination, of, action) in enumerate(rows)
    )
    copied = [number for number, change in enumerate(changes) if change.action in {Action.CREATE, Action.UPDATE}]
    sizes = {str(changes[number].destination.repository): draw(st.integers(0, 1 << 30)) for number in copied}
    content = PlanContent(tuple(RepositoryContent(name, size, 3, has_content=False) for name, size in sorted(sizes.items())), tuple(_shared(changes, copied)))
    return replace(plans.plan(*changes), content=content), draw(st.integers(1, 6))


def _shared(changes, copied):
    for number in range(3):
        users = {}
        for one in copied[number:]:
            if changes[one].source.repository.registry == changes[copied[-1]].source.repository.registry:
                users.setdefault(changes[one].destination.repository, one)
        if len(users) > 1:
            yield SharedBlob(f"sha256:{number:064x}", 1 << number, tuple(users.values()))


@given(divided())
def test_every_change_is_in_one_shard(made):
    """And every shared blob."""
    plan, count = made
    partition = Partition(plan, count)
    shards = [Shard(number + 1, count) for number in range(count)]

    changes = [change for shard in shards for change in partition.select(shard).changes]
    blobs = [home.place for shard in shards for home in partition.list_blobs(shard)]

    assert sorted(change.destination for change in changes) == sorted(change.destination for change in plan.changes)
    assert sorted(blobs) == sorted(home.place for home in partition.list_blobs(Shard()))
    assert len(set(blobs)) == len(plan.content.shared)
    assert partition.select(Shard()).changes == ()


@given(divided())
def test_no_repository_is_split(made):
    """Neither at a source, whose manifests would be read twice, nor at a destination, whose deletions come last."""
    plan, count = made
    partition = Partition(plan, count)
    shards = {}

    for change in plan.changes:
        for repository in (("from", change.source.repository), ("to", change.destination.repository)):
            assert shards.setdefault(repository, partition.find_shard(change)) == partition.find_shard(change)


@given(divided())
def test_home_needs_the_blob_itself(made):
    """And has it from the same source registry; it does not depend on the number of shards."""
    plan, count = made
    partition = Partition(plan, count)

    for home in partition.homes:
        users = [plan.changes[number] for number in home.blob.changes]
        assert home.change in users
        assert {(one.source.repository.registry, one.destination.repository.registry) for one in users} == {home.place[:2][::-1]}
    assert partition.homes == Partition(plan, count + 1).homes


@given(divided())
def test_fingerprint_covers_what_decides(made):
    """The plan's id covers its changes only."""
    plan, count = made
    other = replace(plan, content=replace(plan.content, repositories=(*plan.content.repositories, RepositoryContent("r.io/m/z", 1, 1, has_content=False))))

    assert Partition(plan, count).fingerprint == Partition(replace(plan, notes=("n",)), 1).fingerprint
    assert Partition(plan, count).fingerprint != Partition(other, count).fingerprint


def test_part_says_what_it_is():
    """Its id is that of the plan."""
    plan = replace(plans.plan(plans.change(tag="1"), plans.change(tag="2")), content=PlanContent())
    partition = Partition(plan, 1)

    assert partition.select(Shard(1, 1)).part == "shard 1/1"
    assert partition.select(Shard()).part == "phase shared with 0 blobs"
    assert {partition.select(shard).id for shard in (Shard(1, 1), Shard())} == {plan.id}


@pytest.mark.parametrize("count", [1, 3])
def test_loads_are_the_weights_of_the_shards(count):
    """They add up to the whole."""
    changes = [plans.change(tag="1", source=f"s.io/{name}:1", destination=f"r.io/m/{name}:1") for name in "abc"]
    content = PlanContent(tuple(RepositoryContent(f"r.io/m/{name}", 100, 0, has_content=False) for name in "abc"))

    assert Partition(replace(plans.plan(*changes), content=content), count).loads == ((303,) if count == 1 else (101, 101, 101))
