"""Totals and time left follow what really has to be moved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.apply.report import Outcome, Result
from imgsync.oci.spec.reference import parse_reference
from imgsync.plan.model import Action, Change, Plan
from imgsync.progress.counts import Counts
from imgsync.progress.rate import Rate

_MIB = 1 << 20


def change(tag: str) -> Change:
    source, destination = (parse_reference(f"{registry}.example/app:{tag}") for registry in ("source", "destination"))
    return Change(Action.CREATE, "a", source, f"sha256:{'0' * 64}", destination, None, None, 9 * _MIB, "new")


@pytest.fixture
def counts():
    return Counts(lambda: 7, lambda: False)


def planned(counts: Counts, *tags: str, megabytes: int) -> list[Change]:
    changes = [change(tag) for tag in tags]
    counts.on_plan(Plan(tuple(changes), transfer_bytes=megabytes * _MIB))
    return changes


def test_image_total_is_what_it_has_to_move(counts):
    """Layers that another image moves, or that are there, do not count."""
    (one,) = planned(counts, "1", megabytes=3)
    counts.on_start(one)
    counts.on_size(one, 3 * _MIB)
    counts.on_size(one, -2 * _MIB)

    assert counts.running[one.destination].total_bytes == _MIB


def test_total_drops_what_the_destination_turned_out_to_have(counts):
    """The time left is that of the rest."""
    planned(counts, "1", megabytes=3)
    counts.on_found(2 * _MIB)

    assert counts.bytes_total == _MIB


def test_failed_image_leaves_nothing_to_await(counts):
    """What it did not move is not part of the total any more."""
    one, two = planned(counts, "1", "2", megabytes=6)
    for each in (one, two):
        counts.on_start(each)
        counts.on_size(each, 3 * _MIB)
    counts.on_bytes(one, _MIB)
    counts.on_bytes(one, -_MIB)
    counts.on_finish(Outcome(one, Result.FAILED))

    assert counts.bytes_total == 3 * _MIB
    assert (counts.images_done, len(counts.running)) == (1, 1)


def test_copies_before_the_plan_count_in_the_total(counts):
    """The plan does not count what was recorded while it was made."""
    early, running = change("1"), change("2")
    for each in (early, running):
        counts.on_start(each)
        counts.on_bytes(each, 2 * _MIB)
    counts.on_finish(Outcome(early, Result.COPIED))
    counts.on_plan(Plan((early, running), transfer_bytes=5 * _MIB))

    assert counts.bytes_total == 7 * _MIB


def test_time_left_is_unknown_while_stopping():
    """What is left is left to the next run."""
    counts = Counts(lambda: 0, lambda: True)
    (one,) = planned(counts, "1", megabytes=3)
    counts.on_start(one)
    counts.on_bytes(one, _MIB)

    assert counts.left_seconds is None


def test_deletions_count_as_images(counts):
    """They have no start and no bytes."""
    gone = replace(change("1"), action=Action.DELETE)
    counts.on_plan(Plan((gone,)))
    counts.on_finish(Outcome(gone, Result.DELETED))

    assert (counts.images_done, counts.images_total, counts.bytes_total) == (1, 1, 0)


def test_rate_is_that_of_the_last_half_minute():
    """A fast beginning does not promise a fast end, and a stall shows."""
    now = [0.0]
    rate = Rate(lambda: now[0])
    rate.start()
    seen = []
    for second in range(1, 121):
        now[0] = second
        rate.add(100 if second <= 30 else 10 if second <= 60 else 0)
        seen.append(rate.per_second)

    assert seen[29] == 100
    assert seen[61] == pytest.approx(10, rel=0.2)
    assert seen[119] == 0


def test_small_images_first_do_not_make_hours_of_the_large_ones():
    """Half of the images took ten seconds of requests; the rest is that, and their bytes."""
    now, requests = [0.0], [0]
    counts = Counts(lambda: requests[0], lambda: False, lambda: now[0])
    changes = planned(counts, *map(str, range(20)), megabytes=1000)
    counts.on_plan(Plan(tuple(changes), transfer_bytes=1000 * _MIB, applying=(("source", 100), ("destination", 100))))
    assert counts.left_seconds is None
    for number, each in enumerate(changes[:10]):
        counts.on_start(each)
        counts.on_bytes(each, 1000)
        now[0], requests[0] = number + 1.0, 10 * (number + 1)
        known = counts.left_seconds
        assert (known is None) is (number < 2)
        counts.on_finish(Outcome(each, Result.COPIED))

    assert 20 < counts.left_seconds < 120
