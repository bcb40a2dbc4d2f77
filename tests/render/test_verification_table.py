"""A verification as a table."""

from __future__ import annotations

from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.model import PlanError
from imgsync.render.verification_table import render_verification_table
from imgsync.text.layout import Layout

REGISTRY = "registry.example.com/mirror"


def finding(name: str, condition: Condition = Condition.OK, reason: str = "same digest at the destination", **fields: object) -> Finding:
    """Return a finding about an image below the registry's namespace."""
    return Finding(condition, "kubernetes", f"registry.k8s.io/{name}", None, f"{REGISTRY}/{name}", None, reason, **fields)


def test_findings_stand_below_mirror_and_repository():
    """The prefix and the reason that all share are said once."""
    missing = tuple(finding(name, Condition.MISSING, "not at the destination") for name in ("pause:3.9", "pause:3.10"))

    assert render_verification_table(Verification(missing), show_ok=False, layout=Layout(60, is_terminal=True)).splitlines() == [
        f"kubernetes   {REGISTRY}",
        "    2 missing: not at the destination",
        "    pause",
        "  +   3.9",
        "  +   3.10",
        "",
        "Drift: 0 ok, 2 missing (0.0s).",
        "Repair it with `imgsync apply` and the same PATH, --only,",
        "  --state and --registries.",
    ]


def test_conditions_are_named_where_they_differ():
    """With their hints."""
    damaged = finding("app:1", Condition.DAMAGED, "layer 0123 has other bytes", hint="repair the storage")
    lines = render_verification_table(Verification((damaged, finding("team/app:2", Condition.HELD, "first seen now"))), show_ok=False).splitlines()

    assert lines[:4] == [
        f"kubernetes   {REGISTRY}",
        "  x app:1        damaged   layer 0123 has other bytes",
        "  ? team/app:2   held      first seen now",
        "      hint (damaged): repair the storage",
    ]


def test_summary_does_not_say_no_drift_beside_errors():
    """Not everything was compared."""
    shown = render_verification_table(Verification((finding("app:1"),), (PlanError("kubernetes", "registry.k8s.io/x", "401"),)), show_ok=False)

    assert "kubernetes\n  x registry.k8s.io/x   error   401\n" in shown
    assert "No drift" not in shown
    assert "Not everything could be checked: 1 ok, 1 error (0.0s).\n" in shown
