"""Run `bundle create --dry-run`: only plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgsync.cli.options import ApplyOptions, CommonOptions, LockUse
from imgsync.cli.plan_run import PlanOptions, run_plan
from imgsync.errors import UsageError
from imgsync.plan.safety import SafetyLimits


def run_create_dry(paths: Sequence[str], only: Sequence[str], options: Mapping[str, Any], apply: ApplyOptions, common: CommonOptions, *, lock: LockUse) -> int:
    """
    Print what a bundle would carry; return the exit code.

    Raises:
        ConfigError: A file is invalid.
        UnsafePlanError: The plan exceeds `--max-changes` or `--max-bytes`.
        UsageError: An option cannot be used.
    """
    if options["plan_file"] is not None or options["volume"] is not None:
        raise UsageError("--dry-run makes a plan, so it goes with neither --plan nor --volume", hint="`imgsync show FILE` prints a saved plan")
    asked = PlanOptions(apply.output, heartbeat=apply.heartbeat_seconds, lock=lock, have=options["have"], since=options["since"], is_for_bundle=True)
    plan, exit_code = run_plan(paths, only, asked, common)
    SafetyLimits(apply.max_changes, apply.max_bytes).raise_if_unsafe(plan)
    return exit_code
