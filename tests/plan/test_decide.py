"""The decision table: action and reason for each combination of facts."""

from __future__ import annotations

import itertools

import pytest

from imgsync.plan.decide import Facts, decide
from imgsync.plan.model import COPIES, Action

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("facts", "action", "reason"),
    [
        (Facts(NEW, None, is_immutable=False), Action.CREATE, "not at the destination"),
        (Facts(NEW, None, is_immutable=True), Action.CREATE, "not at the destination"),
        (Facts(NEW, NEW, is_immutable=False), Action.KEEP, "same digest at the destination"),
        (Facts(NEW, NEW, is_immutable=False, is_recorded=True), Action.KEEP, "unchanged since it was pushed"),
        (Facts(NEW, OLD, is_immutable=True), Action.REFUSE, "tag is declared immutable: 000000000000 → 111111111111"),
        (Facts(NEW, OLD, is_immutable=False), Action.UPDATE, "destination differs from the source: 000000000000 → 111111111111"),
        (Facts(NEW, OLD, is_immutable=False, is_recorded=True), Action.UPDATE, "source moved 000000000000 → 111111111111"),
        (
            Facts(NEW, OLD, is_immutable=False, is_recorded=True, has_other_settings=True),
            Action.UPDATE,
            "the declared platforms or referrers changed: 000000000000 → 111111111111",
        ),
        (Facts(NEW, None, is_immutable=False, hold_reason="too young"), Action.HOLD, "too young; not at the destination"),
        (Facts(NEW, OLD, is_immutable=False, is_recorded=True, hold_reason="too young"), Action.HOLD, "too young; source moved 000000000000 → 111111111111"),
        (Facts(NEW, OLD, is_immutable=True, hold_reason="too young"), Action.REFUSE, "tag is declared immutable: 000000000000 → 111111111111"),
        (Facts(NEW, NEW, is_immutable=False, hold_reason="too young"), Action.KEEP, "same digest at the destination"),
        (
            Facts(NEW, NEW, is_immutable=False, hold_reason="too young", missing_content=2),
            Action.UPDATE,
            "incomplete: 2 manifests or blobs not at the destination",
        ),
    ],
)
def test_decisions_follow_the_table(facts, action, reason):
    """Each row of the table gives its action and reason."""
    assert decide(facts) == (action, reason)


def test_the_same_digest_is_always_kept_and_an_immutable_tag_never_moved():
    """An equal digest is kept, an immutable tag does not move, a held one is not copied."""
    for serves, immutable, remembered, reselected, held in itertools.product([None, OLD, NEW], *[[False, True]] * 3, ["", "too young"]):
        action, reason = decide(Facts(NEW, serves, is_immutable=immutable, is_recorded=remembered, has_other_settings=reselected, hold_reason=held))
        assert reason
        assert (action is Action.KEEP) == (serves == NEW)
        assert not (immutable and action is Action.UPDATE)
        assert not (held and action in COPIES)
        assert held or action is not Action.HOLD
