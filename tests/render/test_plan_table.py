"""A plan as a table for terminals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imgsync.plan.model import NOT_FOUND, Action, Change, FilterStep, MirrorNotes, Plan, PlanError
from imgsync.render.plan_table import PlanView, render_plan_table
from imgsync.text.layout import PLAIN, Layout
from tests.support.plans import of_each_action, reference

DIGEST = "sha256:" + "a" * 64


def change(action: Action = Action.CREATE, tag: str = "1", *, destination: str = "r.io/m/app", reason: str = "not at the destination") -> Change:
    return Change(action, "a", reference(f"s.io/app:{tag}"), DIGEST, reference(f"{destination}:{tag}"), None, "x/y", 1 << 20, reason)


def plan(*changes: Change, errors: tuple[PlanError, ...] = (), **notes: object) -> Plan:
    return Plan(changes, errors, (MirrorNotes("a", "s.io", ("r.io/m",), "mirrors.d/a.yaml", 3, **notes),), requests=(("source", 4), ("destination", 0)))


def table(some: Plan, *, show_kept: bool = False, explain: bool = False, width: int = 0, has_all: bool = True) -> str:
    """Return the table without a terminal, or for one of *width* columns."""
    return render_plan_table(some, PlanView(show_kept, explain, has_all, Layout(width, is_terminal=True) if width else PLAIN))


def test_table_shows_changes_and_reasons():
    """Sign, name, action, size and reason; kept tags as a count; a sum."""
    shown = table(plan(change(), change(Action.UPDATE, "2", reason="source moved a → b"), change(Action.KEEP, "3")))

    assert "a   s.io → r.io/m   mirrors.d/a.yaml:3" in shown
    assert "  + app:1   create   1.0 MiB   not at the destination" in shown
    assert "  ~ app:2   update   1.0 MiB   source moved a → b" in shown
    assert "  = 1 tag up to date (--all lists them)" in shown
    assert "1 to create, 1 to update, 1 up to date." in shown
    assert "app:3" not in shown


def test_table_names_the_option_only_where_it_exists():
    """`apply` has no `--all`."""
    shown = table(plan(change(Action.KEEP, "0"), *(change(tag=str(number)) for number in range(51))), has_all=False)

    assert "  = 1 tag up to date\n" in shown
    assert "… and 31 more to create\n" in shown


def named(name: str, tag: str, action: Action = Action.CREATE, **fields: object) -> Change:
    """Return a change of another repository."""
    return replace(change(action, tag, **fields), source=reference(f"s.io/{name}:{tag}"), destination=reference(f"r.io/m/{name}:{tag}"))


LONG = "sig-storage/external-snapshotter/csi-snapshotter-with-a-long-name"
RELEASES = plan(
    named("kube-apiserver", "v1.31.2"),
    named("kube-apiserver", "v1.31.10"),
    named("pause", "3.10"),
    named(LONG, "v8.2.1"),
    named(LONG, "v8.2.0-distroless.20261130.build-12345678"),
    named("pause", "latest", Action.UPDATE, reason=f"source moved 7031c1b28338 → 9001185023b6; the digest becomes {DIGEST}"),
)


def test_table_fits_sixty_columns():
    """Rows below their repository, the middle of long names is cut, reasons go below, the shared one is said once."""
    lines = table(RELEASES, width=60).splitlines()

    assert lines[:14] == [
        "a   s.io → r.io/m   mirrors.d/a.yaml:3",
        "    5 to create: not at the destination",
        "    kube-apiserver",
        "  +   v1.31.2                               create   1.0 MiB",
        "  +   v1.31.10                              create   1.0 MiB",
        "    pause",
        "  +   3.10                                  create   1.0 MiB",
        "  ~   latest                                update   1.0 MiB",
        "        source moved 7031c1b28338 → 9001185023b6; the digest",
        "        becomes aaaaaaaaaaaa",
        "    sig-storage/external-s…/csi-snapshotter-with-a-long-name",
        "  +   v8.2.1                                create   1.0 MiB",
        "  +   v8.2.0-distro…261130.build-12345678   create   1.0 MiB",
        "",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width):
    """At each width, with notes, filter steps and errors that have long words."""
    notes = {"notes": (" ".join(["2 tags dropped as pre-release:"] * 9),), "steps": (FilterStep("s.io/app", "semver", 3, tuple(f"1.{n}" for n in range(30))),)}
    shown = table(replace(RELEASES, mirrors=plan(**notes).mirrors), width=width, explain=True)

    assert [line for line in shown.splitlines() if len(line) > width] == []
    assert shown.count("not at the destination") == 1


def test_row_without_a_terminal_is_one_line_with_the_whole_name():
    """For `grep` in the log of a CI job."""
    shown = table(RELEASES)

    assert "  + kube-apiserver:v1.31.10 " in shown
    assert "csi-snapshotter-with-a-long-name:v8.2.0-distroless.20261130.build-12345678" in shown
    assert "  ~ pause:latest " in shown
    assert shown.count("not at the destination") == 1


def test_reference_of_an_error_stays_whole():
    """Even if it is wider than the terminal."""
    name = f"registry.example.com/{'a' * 60}/app:1"
    shown = table(plan(errors=(PlanError("a", name, f"{'no reason ' * 9}"), PlanError("a", name, f"list tags of {name} (source): 401"))), width=60)

    assert f"  x {name}\n      error: no reason" in shown
    assert f"  x error: list tags of\n      {name}\n      (source): 401\n" in shown


def test_equal_changes_at_two_destinations_are_listed_once():
    """With a word about it; others are below the destination."""
    both = [change(tag=tag, destination=f"r.io/{place}/app") for tag in ("1", "2") for place in ("m", "n")]
    alone = change(Action.UPDATE, "3", destination="r.io/n/app", reason="source moved")
    two = {"mirrors": (MirrorNotes("a", "s.io", ("r.io/m", "r.io/n"), "mirrors.d/a.yaml", 3),)}

    assert table(replace(plan(*both), **two)).splitlines()[1:4] == [
        "    2 to create at each destination: not at the destination",
        "  + app:1   1.0 MiB",
        "  + app:2   1.0 MiB",
    ]
    shown = table(replace(plan(*both, alone), **two)).splitlines()
    assert [line for line in shown if line.startswith("  →")] == ["  → r.io/m", "  → r.io/n"]
    assert shown.index("  ~ app:3   update   1.0 MiB   source moved") > shown.index("  → r.io/n")


def test_shared_part_of_a_reason_is_said_once():
    """What differs stays in the row."""
    reasons = [f"not at the destination; with {count}" for count in ("1 referrer", "2 referrers")]
    lines = table(plan(*(change(tag=str(number), reason=reason) for number, reason in enumerate(reasons)))).splitlines()

    assert lines[1:4] == ["    2 to create: not at the destination", "  + app:0   1.0 MiB   with 1 referrer", "  + app:1   1.0 MiB   with 2 referrers"]


def test_names_that_were_not_found_are_not_called_dropped():
    """`--explain` says what the filters did, and what the repository lacks."""
    steps = (
        FilterStep("s.io/app", "listed", 4, ()),
        FilterStep("s.io/app", "semver", 3, ("x",), "not a semantic version: 1"),
        FilterStep("s.io/app", NOT_FOUND, 3, ("9", "10")),
    )
    shown = table(plan(steps=steps), explain=True)

    assert "    app: 4 listed → 3 semver\n      semver: 1 dropped: x (not a semantic version: 1)\n      names not found: 9, 10\n" in shown


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
    assert "  x error   list tags of s.io/x (source): 401 \\x1b[31m" in shown
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
    assert "    … and 31 more to create (--all lists them)\n" in shown
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

    assert f"  ? app:1   hold   1.0 MiB   {reason} (2d05h left)\n" in table(held)
    assert "(ready at the next run)" in table(replace(held, created_at="2026-11-27T00:00:00Z"))
    assert f"{reason}\n" in table(replace(held, created_at=""))
    assert "1 on hold" in table(held)


def test_table_shows_skipped_pruning():
    """Also where nothing else is to show."""
    kept = plan(change(Action.KEEP), notes=("nothing is pruned: a listing was incomplete",), pruning_skipped="a listing was incomplete")

    assert "    note: nothing is pruned: a listing was incomplete\n" in table(kept)
    assert "No changes." in table(kept)


def test_table_shows_notes_that_name_a_command():
    """Also where nothing changes; other notes only with changes."""
    shown = table(plan(change(Action.KEEP), notes=("newest by version", "1 selected tag not in the lock: app:2; `imgsync lock --only a` adds them")))

    assert "    note: 1 selected tag not in the lock: app:2; `imgsync lock --only a` adds them\n" in shown
    assert "No changes." in shown
    assert "note:" not in table(plan(change(Action.KEEP), notes=("newest by version",)))


def test_table_shows_changes_of_unknown_mirrors():
    """A plan from a file may lack notes."""
    shown = table(Plan((change(),), (PlanError("b", "s.io/x", "401"),)))

    assert "a\n  + app:1 → r.io/m/app:1   create" in shown
    assert "b\n  x s.io/x   error   401" in shown


def test_refused_tag_has_a_hint():
    """A reader sees what to do about it, as in a report."""
    assert "    hint: ask the publisher why the tag moved" in render_plan_table(of_each_action())
