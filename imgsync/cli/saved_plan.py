"""Read a saved plan for the declarations it was made for."""

from __future__ import annotations

from dataclasses import replace

from imgsync.config.model import Config
from imgsync.config.only import parse_only
from imgsync.documents.envelope import read_document
from imgsync.documents.plan import check_applicable, check_compared, check_made_for, decode_plan, read_only
from imgsync.errors import UsageError
from imgsync.plan.model import Plan


def read_saved_plan(path: str, config: Config, *, for_bundle: bool = False) -> tuple[Plan, Config]:
    """
    Return the saved plan, and the part of *config* it covers.

    Raises:
        UsageError: It cannot be read, was made for other declarations, or is the plan of a bundle and not *for_bundle*.
    """
    if any(pattern.is_part for pattern in config.only):
        raise UsageError("--only cannot select images of a saved plan", hint="make the plan with this --only: imgsync plan --out FILE")
    document = read_document(path)
    plan = decode_plan(document, name=path)
    if not for_bundle:
        check_applicable(plan, name=path)
    check_compared(plan, name=path)
    planned = check_made_for(document, config, name=path)
    only = parse_only(read_only(document, name=path))
    covered = config.filter(lambda mirror: mirror.name in planned)
    # What the plan did not select stays as the last run left it.
    return plan, replace(covered, only=only, is_complete=covered.is_complete and not only)
