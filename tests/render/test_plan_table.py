"""A plan as a table for terminals."""

from __future__ import annotations

from dataclasses import replace

from imgsync.plan.model import Action, Change, MirrorNotes, Plan, PlanError
from imgsync.render.plan_table import render_plan_table
from tests.support.plans import reference

DIGEST = "sha256:" + "a" * 64


def change(action: Action = Action.CREATE, tag: str = "1", *, destination: str = "r.io/m/app", reason: str = "not at the destination") -> Change:
    return Change(action, "a", reference(f"s.io/app:{tag}"), DIGEST, reference(f"{destination}:{tag}"), None, "x/y", 1 << 20, reason)


def plan(*changes: Change, errors: tuple[PlanError, ...] = (), **notes: object) -> Plan:
    return Plan(changes, errors, (MirrorNotes("a", "s.io", ("r.io/m",), "mirrors.d/a.yaml", 3, **notes),), requests=(("source", 4), ("destination", 0)))


def table(some: Plan, *, show_kept: bool = False, explain: bool = False) -> str:
    return render_plan_table(some, show_kept=show_kept, explain=explain)


def test_table_shows_changes_and_reasons():
    """Sign, name, action, size and reason; kept tags as a count; a sum."""
    shown = table(plan(change(), change(Action.UPDATE, "2", reason="source moved a → b"), change(Action.KEEP, "3")))

    assert "a   s.io → r.io/m   mirrors.d/a.yaml:3" in shown
    assert "  + app:1   create      1.0 MiB   not at the destination" in shown
    assert "  ~ app:2   update      1.0 MiB   source moved a → b" in shown
    assert "  = 1 tag up to date (--all lists them)" in shown
    assert "1 to create, 1 to update, 1 up to date." in shown
    assert "app:3" not in shown


def test_table_shows_renamed_destinations():
    """Another repository or tag is written out."""
    assert "app:1 → r.io/other:1" in table(plan(change(destination="r.io/other")))


def test_table_of_an_unchanged_plan_is_one_line():
    """With its cost in requests."""
    assert table(plan(change(Action.KEEP))) == "No changes. 1 tag up to date (0 destination requests, 4 source requests, 0.0s).\n"
    assert "app:1" in table(plan(change(Action.KEEP)), show_kept=True)


def test_table_shows_errors_refusals_and_suspended_mirrors():
    """Errors with hints, refusals with reasons."""
    error = PlanError("a", "s.io/x", "list tags of s.io/x (source): 401 \x1b[31m", "log in")
    shown = table(plan(change(Action.REFUSE, reason="tag is declared immutable: a → b"), errors=(error,)))

    assert "  ! app:1   refuse" in shown
    assert "  x s.io/x   error   list tags of s.io/x (source): 401 \\x1b[31m" in shown
    assert "hint: log in" in shown
    assert "1 refused, 1 error, 0 up to date" in shown
    assert "suspended: nothing is planned" in table(plan(suspended=True))


def test_table_folds_long_lists():
    """More than 50 lines of an action show 20 and a count; --all shows all."""
    creates = [change(tag=str(number)) for number in range(51)]
    updates = [change(Action.UPDATE, f"u{number}") for number in range(50)]
    shown = table(plan(*creates, *updates))

    assert shown.count("  + app:") == 20
    assert "  + app:19" in shown
    assert "    … and 31 more to create (imgsync plan --all lists them)\n  ~ app:u0" in shown
    assert shown.count("  ~ app:u") == 50
    assert table(plan(*creates, *updates), show_kept=True).count("  + app:") == 51


def test_table_lists_deletions_last():
    """Under a heading of their own."""
    delete = change(Action.DELETE, "old", reason="no longer selected; pushed by imgsync on 2026-03-02")
    lines = table(plan(delete, change())).splitlines()

    assert lines[1].startswith("  + app:1   create")
    assert lines[2] == "  prune"
    assert lines[3].startswith("  - app:old   delete")
    assert lines[3].endswith("   no longer selected; pushed by imgsync on 2026-03-02")
    assert "1 to create, 0 to update, 1 to delete, 0 up to date." in lines[-2]


def test_table_shows_how_long_changes_are_held():
    """A time in the past says to run again."""
    reason = "first seen 6h ago, held until 2026-11-26T09:00:00Z by min_age 3d"
    held = replace(plan(replace(change(Action.HOLD, reason=reason), held_until="2026-11-26T09:00:00Z")), created_at="2026-11-24T04:00:00Z")

    assert f"  ? app:1   hold        1.0 MiB   {reason} (2d05h left)\n" in table(held)
    assert "(ready at the next run)" in table(replace(held, created_at="2026-11-27T00:00:00Z"))
    assert f"{reason}\n" in table(replace(held, created_at=""))
    assert "1 on hold" in table(held)


def test_table_shows_skipped_pruning():
    """Also where nothing else is to show."""
    kept = plan(change(Action.KEEP), notes=("nothing is pruned: a listing was incomplete",), pruning_skipped="a listing was incomplete")

    assert "    note: nothing is pruned: a listing was incomplete\n" in table(kept)
    assert "No changes." in table(kept)


def test_table_shows_changes_of_unknown_mirrors():
    """A plan from a file may lack notes."""
    shown = table(Plan((change(),), (PlanError("b", "s.io/x", "401"),)))

    assert "a\n  + app:1 → r.io/m/app:1   create" in shown
    assert "b\n  x s.io/x   error   401" in shown
