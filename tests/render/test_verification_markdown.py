"""A verification as Markdown."""

from __future__ import annotations

from imgsync.plan.findings import Verification
from imgsync.plan.model import PlanError
from imgsync.render.verification_markdown import render_verification_markdown


def test_error_has_its_hint():
    """As in the table and in a plan's comment."""
    found = Verification((), errors=(PlanError("a", "r.io/x", "401", "log in"),))

    assert "- `r.io/x` (mirror `a`): 401; hint: log in\n" in render_verification_markdown(found)
