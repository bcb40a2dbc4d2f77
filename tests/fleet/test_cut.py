"""A plan is cut into batches by the work that is in a repository."""

from __future__ import annotations

from dataclasses import replace

from imgsync.fleet.cut import Cutter
from imgsync.plan.content import PlanContent, RepositoryContent, SharedBlob
from imgsync.plan.model import Action
from imgsync.plan.shards import REQUEST_BYTES, Partition
from tests.support import plans


def _list_batches(repositories: dict[str, tuple[int, int, int]]) -> list[str]:
    """Return the repository of each image, as batches take them; by name the images, own bytes and requests."""
    changes = [
        plans.change(tag=str(number), source=f"s.io/{name}:{number}", destination=f"r.io/m/{name}:{number}")
        for name, (count, _, _) in repositories.items()
        for number in range(count)
    ]
    content = tuple(RepositoryContent(f"r.io/m/{name}", size, requests, has_content=False) for name, (_, size, requests) in repositories.items())
    cutter = Cutter(Partition(replace(plans.plan(*changes), content=PlanContent(content)), 1), {"a"})
    found = []
    while (part := cutter.take_changes(1)) is not None:
        found += [change.destination.repository.path.rpartition("/")[2] for change in part.changes]
        cutter.give_back(part, ())
    return found


def test_repository_with_most_bytes_comes_first():
    """Of repositories with as many requests."""
    assert _list_batches({"a": (1, 10 << 20, 6), "b": (1, 30 << 20, 6), "c": (1, 20 << 20, 6)}) == ["b", "c", "a"]


def test_requests_of_small_images_are_work():
    """Many small images come before one large image that takes less time."""
    assert _list_batches({"large": (1, 5 << 20, 6), "small": (8, 3000, 48)}) == ["small"] * 8 + ["large"]
    assert (48 - 6) * REQUEST_BYTES > 5 << 20


def test_blob_of_a_tag_that_is_there_already_is_not_sent():
    """A saved plan may say that its home needs a copy, and it was copied since."""
    found = [plans.change(action, source=f"s.io/{name}:1", destination=f"r.io/m/{name}:1") for name, action in (("a", Action.KEEP), ("b", Action.CREATE))]
    content = PlanContent((), (SharedBlob(plans.OTHER[:-1] + "0", 5, (0, 0)),))

    assert Cutter(Partition(replace(plans.plan(*found), content=content), 1), {"a"}).take_blobs(1) is None


def test_images_left_over_come_first_again():
    """Those that were not copied of a batch, in their order."""
    changes = [plans.change(tag=str(number)) for number in range(5)]
    cutter = Cutter(Partition(plans.plan(*changes), 1), {"a"})
    part = cutter.take_changes(1)
    cutter.give_back(part, ())
    part = cutter.take_changes(1)
    cutter.give_back(part, {change.destination for change in part.changes})

    found = []
    while (part := cutter.take_changes(1)) is not None:
        found += part.changes
        cutter.give_back(part, ())
    assert found == changes[1:]
    assert cutter.is_empty
