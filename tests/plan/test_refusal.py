"""Every refusal says what to do."""

from __future__ import annotations

import pytest

from imgsync.plan.decide import Facts, decide
from imgsync.plan.model import Action
from imgsync.plan.refusal import BACK, IMMUTABLE, NO_RECORD, NOT_OURS, REQUIRED, advise_refusal
from tests.support.plans import DIGEST, OTHER


def test_each_reason_has_its_own_remedy():
    """Also one that a document made up."""
    reasons = (f"{REQUIRED}no signature", f"{IMMUTABLE}: a → b", NOT_OURS, BACK, f"{NO_RECORD}; 401", "made up", "")

    assert len({advise_refusal(reason) for reason in reasons}) == len(reasons) - 1
    assert all(advise_refusal(reason) for reason in reasons)


@pytest.mark.parametrize("is_recorded", [True, False])
def test_immutable_tag_that_moved_says_where_to_change_it(is_recorded):
    """The reason of a refusal is one of those that are known."""
    action, reason = decide(Facts(DIGEST, OTHER, is_immutable=True, is_recorded=is_recorded))

    assert action is Action.REFUSE
    assert "`immutable`" in advise_refusal(reason)
