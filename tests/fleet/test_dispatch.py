"""A coordinator hands out each change once, and believes each answer once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.apply.batch import Batch, BatchKind
from imgsync.apply.report import Outcome, Result
from imgsync.fleet.cut import Cutter
from imgsync.fleet.dispatch import Dispatch, RefusedMessageError
from imgsync.plan.content import PlanContent, SharedBlob
from imgsync.plan.shards import Partition
from tests.support.batches import RUN, answer, batch
from tests.support.plans import DIGEST, OTHER, change, plan


class _Maker:
    """Makes batches without a state."""

    def make(self, part, *, number: int, attempt: int, workers: int, budget_seconds: float) -> Batch:
        kind = BatchKind.BLOBS if part.blobs else BatchKind.CHANGES
        return batch(id=number, attempt=attempt, kind=kind, changes=part.changes, workers=max(1, workers), budget_seconds=budget_seconds)


def _changes(repositories: int, tags: int):
    return [
        change(tag=f"t{tag}", source=f"s.io/app{number:02}:t{tag}", destination=f"r.io/m/app{number:02}:t{tag}")
        for number in range(repositories)
        for tag in range(tags)
    ]


def _dispatch(changes, content: PlanContent | None = None) -> Dispatch:
    made = plan(*changes, content=content or PlanContent())
    return Dispatch(Cutter(Partition(made, 1), {one.mirror for one in changes}), _Maker(), run=RUN)


def _take_all(dispatch: Dispatch, workers: int = 2) -> list[Batch]:
    found = []
    while (one := dispatch.take(workers=workers, now=0.0)) is not None:
        found.append(one)
    return found


def _copied(given: Batch, **fields):
    return answer(*(Outcome(one, Result.COPIED, digest=DIGEST) for one in given.changes), number=given.id, blobs=(), **fields)


def test_each_change_is_handed_out_once():
    """In batches that no repository shares at a time."""
    changes = _changes(20, 7)
    dispatch, done = _dispatch(changes), []
    while not dispatch.is_done:
        out = _take_all(dispatch)
        repositories = [{one.destination.repository for one in given.changes} for given in out]
        assert sum(map(len, repositories)) == len(set().union(*repositories))
        for given in out:
            done += dispatch.accept(_copied(given)).outcomes

    assert sorted(one.change.destination for one in done) == sorted(one.destination for one in changes)


def test_shared_blobs_come_first():
    """No image begins before their homes were tried."""
    changes = _changes(2, 1)
    dispatch = _dispatch(changes, PlanContent((), (SharedBlob(OTHER, 5, (0, 1)),)))

    first = _take_all(dispatch)
    assert [one.kind for one in first] == [BatchKind.BLOBS]
    dispatch.accept(replace(answer(number=first[0].id, blobs=()), done=replace(answer(blobs=()).done, outcomes=(), records={})))
    assert {one.kind for one in _take_all(dispatch)} == {BatchKind.CHANGES}


@pytest.mark.row("GIT-14")
def test_answer_counts_once():
    """A second one, one of another run and one of no batch are refused by their reasons."""
    dispatch = _dispatch(_changes(1, 1))
    (given,) = _take_all(dispatch)
    assert len(dispatch.accept(_copied(given)).outcomes) == 1

    for found, reason in (
        (_copied(given), "repeated"),
        (replace(_copied(given), run="f" * 32), "other_run"),
        (replace(_copied(given), batch=99), "unknown"),
    ):
        with pytest.raises(RefusedMessageError, match=reason):
            dispatch.accept(found)
    with pytest.raises(RefusedMessageError, match="other_run"):
        dispatch.accept_dead("e" * 32, given.id)


@pytest.mark.row("GIT-14")
@pytest.mark.parametrize(
    "lie",
    [
        {"digest": OTHER},
        {"change": change(tag="t0", source="s.io/app00:t0", destination="r.io/m/other:t0")},
        {"change": change(tag="t0", source="s.io/other:t0", destination="r.io/m/app00:t0")},
        {"change": change(tag="t0", source="s.io/app00:t0", destination="r.io/m/app00:t0", mirror="b")},
        {"result": Result.DELETED},
    ],
    ids=["digest", "destination", "source", "mirror", "deleted"],
)
def test_answer_says_only_what_the_plan_allows(lie):
    """Otherwise the batch stays unanswered, and is sent again."""
    dispatch = _dispatch(_changes(1, 1))
    (given,) = _take_all(dispatch)
    honest = _copied(given)
    forged = replace(honest, done=replace(honest.done, outcomes=(replace(honest.done.outcomes[0], **lie),)))

    with pytest.raises(RefusedMessageError, match="impossible"):
        dispatch.accept(forged)

    assert dispatch.out_count == 1
    assert len(dispatch.accept(honest).outcomes) == 1


def test_what_is_left_is_sent_again():
    """With a longer budget if nothing was done, and at last it fails."""
    changes = _changes(1, 2)
    dispatch = _dispatch(changes)
    budgets = []
    while (given := dispatch.take(workers=1, now=0.0)) is not None:
        budgets.append(given.budget_seconds)
        rest = answer(*(Outcome(one, Result.REMAINING) for one in given.changes), number=given.id, blobs=())
        found = dispatch.accept(rest).outcomes
        if found:
            break

    assert budgets == [600.0, 1200.0, 1500.0, 1500.0, 1500.0]
    assert [(one.change.destination, one.result) for one in found] == [(changes[0].destination, Result.FAILED)]
    assert not dispatch.is_done


def test_silence_is_answered_by_sending_again():
    """After twice the budget, with the number of the attempt."""
    dispatch = _dispatch(_changes(1, 1))
    (given,) = _take_all(dispatch)

    assert dispatch.take_overdue(workers=1, now=1199.0) == []
    (again,) = dispatch.take_overdue(workers=1, now=1201.0)

    assert (again.id, again.attempt) == (given.id, 2)
    assert dispatch.take_overdue(workers=1, now=1202.0) == []


def test_batches_that_no_worker_began_are_made_again():
    """All of them, since workers refuse what is old; while some are begun, what waits only waits."""
    dispatch = _dispatch(_changes(2, 1))
    given = _take_all(dispatch)

    assert dispatch.take_overdue(workers=0, now=1199.0, waiting=2) == []
    assert dispatch.take_overdue(workers=0, now=1201.0, waiting=1) == []
    again = dispatch.take_overdue(workers=0, now=1201.0, waiting=2)

    assert [(one.id, one.attempt) for one in again] == [(one.id, 2) for one in given]
    assert dispatch.take_overdue(workers=0, now=1202.0, waiting=2) == []


@pytest.mark.row("GIT-15")
def test_dead_batch_fails_its_changes():
    """And frees its repositories for what else is left of them."""
    dispatch = _dispatch(_changes(1, 40))
    (first,) = _take_all(dispatch)

    failed = dispatch.accept_dead(RUN, first.id).outcomes

    assert [one.change for one in failed] == list(first.changes)
    assert {one.result for one in failed} == {Result.FAILED}
    assert all(one.error.startswith("poison") for one in failed)
    assert len(_take_all(dispatch)) == 1


def test_refused_batch_goes_to_another_worker():
    """If there is one; its changes fail once as many refused it as there are workers."""
    dispatch, found = _dispatch(_changes(1, 1)), []
    for _ in range(3):
        given = dispatch.take(workers=3, now=0.0)
        refused = replace(answer(number=given.id, blobs=()), refused="no")
        found.append(dispatch.accept(replace(refused, done=replace(refused.done, outcomes=(), records={}))).outcomes)

    assert [[one.result for one in outcomes] for outcomes in found] == [[], [], [Result.FAILED]]
    assert dispatch.is_done


def test_refused_batch_says_why():
    """Its changes fail with what the worker said, and it is counted."""
    dispatch = _dispatch(_changes(1, 1))
    (given,) = _take_all(dispatch, workers=1)
    refused = replace(answer(number=given.id, blobs=()), refused="the batch was made for another declaration")
    refused = replace(refused, done=replace(refused.done, outcomes=(), records={}))

    (failed,) = dispatch.accept(refused).outcomes

    assert (failed.result, failed.error) == (Result.FAILED, "worker host:1 refused it: the batch was made for another declaration")
    assert dispatch.sums.refused == {"batch": 1}
    assert dispatch.is_done
