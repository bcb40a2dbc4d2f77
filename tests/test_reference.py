"""The reference pages are up to date and complete."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docs.generate import REFERENCE, list_pages, render_page
from imgsync import cli
from imgsync.apply.report import Report, SharedCopies
from imgsync.cli import plan_run, session
from imgsync.config.model import Config, RegistriesConfig
from imgsync.discover.coverage import Coverage, Covered
from imgsync.discover.model import Certainty, FoundImage, SkippedInput
from imgsync.documents.access import encode_access
from imgsync.documents.json_stream import to_json
from imgsync.documents.outcome import encode_shard_outcome
from imgsync.documents.plan import encode_plan
from imgsync.documents.references import encode_references
from imgsync.documents.report import encode_report
from imgsync.documents.verification import encode_verification
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.content import PlanContent, RepositoryContent, SharedBlob
from imgsync.plan.findings import Condition, Finding, Verification
from imgsync.plan.model import FilterStep, MirrorNotes, PlanError
from imgsync.registries.access import Access
from imgsync.serve.documents import encode_mirror, encode_runs, encode_status
from imgsync.serve.model import RunOrder, RunResult
from imgsync.serve.run_document import encode_run
from imgsync.serve.views import EventCounts
from tests.support import board as boards
from tests.support import plans

PACKAGE = Path(cli.__file__).parents[1]
ERRORS = (PlanError("a", "s.io/x", "spent", "log in", later=True),)
APPLY_ERRORS = (replace(ERRORS[0], planned=True),)


@pytest.mark.parametrize("page", list_pages(), ids=lambda page: page.name)
def test_generated_parts_are_up_to_date(page):
    """`python -m docs.generate` writes them."""
    assert page.read_text(encoding="utf-8") == render_page(page)


def test_command_pages_show_the_help(workplace):
    """In 80 columns."""
    done = workplace.run("state", "push", "--help", env={"COLUMNS": "80"})

    assert f"```text\n{done.stdout}```\n" in (REFERENCE / "commands.md").read_text(encoding="utf-8")


def rows(text: str) -> Iterator[tuple[set[str], str]]:
    """Yield the code words of each row's first cell, and the row."""
    for line in text.splitlines():
        if line.startswith("| `"):
            yield set(re.findall(r"`([^`]+)`", line.split(" | ")[0])), line


def logged() -> Iterator[tuple[str, set[str]]]:
    """Yield every event that the code logs, with its fields."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"debug", "info", "warning", "error"} and node.args:
                for name in names_of(node.args[0]):
                    if re.match(r"[a-z]+\.", name):
                        yield name, {keyword.arg for keyword in node.keywords if keyword.arg}


def names_of(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from names_of(node.body)
        yield from names_of(node.orelse)
    elif isinstance(node, ast.JoinedStr):
        yield from names_of(node.values[0])
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_every_event_is_described_with_its_fields():
    """The page lists each event of the code and no other."""
    described = {event: set(re.findall(r"`([^`]+)`", row)) for events, row in rows((REFERENCE / "logs.md").read_text(encoding="utf-8")) for event in events}
    common = {"mirror", "source", "destination"}
    events = dict.fromkeys(described, False)
    for name, fields in logged():
        fitting = [event for event in described if event == name or (name.endswith(".") and event.startswith(name))]
        assert fitting, f"logs.md lacks {name}"
        for event in fitting:
            events[event] = True
            assert fields <= described[event] | (common if event.startswith("image.") else set()), f"{event} in logs.md lacks fields"

    assert [event for event, is_logged in events.items() if not is_logged] == []


def paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every field; those of list items once."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}".removeprefix("."))
    elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
        for inner in value:
            yield from paths(inner, f"{path}[]")
    else:
        yield path


def serve_documents() -> dict[str, Any]:
    """Return one of each kind of document of `imgsync serve`."""
    board = boards.troubled_board()
    board.events = {"NAME": EventCounts(refused={"REASON": 1})}
    run = boards.make_run(1, began=boards.NOW, counts={"copied": 1}, error="e", hint="h")
    result = RunResult(RunOrder(run.id, run.trigger, run.mirrors, applies=True), run.began_at, run.ended_at)
    return {
        "imgsync.status/v1": encode_status(board, boards.NOW),
        "imgsync.mirrors/v1": encode_mirror(board.mirrors["postgres"], board.tags["postgres"], lambda _: True),
        "imgsync.runs/v1": encode_runs([run]),
        "imgsync.run/v1": encode_run(result, run) | {"left_out": {"outcomes": 1}},
    }


def documents() -> dict[str, Any]:
    """Return one of each kind of document, with all fields."""
    notes = MirrorNotes("a", "s.io", ("r.io/m",), "mirrors.d/a.yaml", 3, notes=("n",), steps=(FilterStep("s.io/app", "semver", 1, ("2",)),))
    plan = plans.of_each_action()
    left_out = ("platform linux/arm64 that the image does not have",)
    whole = plans.plan(
        replace(plan.changes[0], left_out=left_out, gone_since="2026-08-28T01:00:00Z", pushed_digest=plans.OTHER),
        *plan.changes[1:],
        errors=(*plan.errors, *ERRORS),
        mirrors=(notes,),
        requests=plan.requests,
        applying=plan.requests,
        pulls=plan.pulls,
        is_for_bundle=True,
        gone=(plans.gone_tag(),),
        content=PlanContent((RepositoryContent("r.io/m/app", 1, 1, has_content=False),), (SharedBlob(plans.DIGEST, 1, (0, 1)),)),
    )
    planned = encode_plan(whole, Config((), RegistriesConfig(), (), is_complete=True), explain=True) | {"declarations": {"NAME": "…"}}
    report = plans.report()
    outcomes = (replace(report.outcomes[0], left_out=left_out), *report.outcomes[1:])
    finding = Finding(Condition.OK, "a", "s.io/app:1", plans.DIGEST, "r.io/m/app:1", plans.DIGEST, "same digest", left_out=left_out)
    found = {
        "imgsync.plan/v1": planned,
        "imgsync.report/v1": encode_report(
            Report(report.plan_id, outcomes, (*report.errors, *APPLY_ERRORS), gone=(plans.gone_tag(),), shared=(SharedCopies("a"),))
        ),
        "imgsync.outcome/v1": encode_shard_outcome(plans.shard_outcome(*outcomes, errors=APPLY_ERRORS)),
        "imgsync.verification/v1": encode_verification(Verification((finding,), ERRORS)),
        "imgsync.references/v1": encode_references(
            [FoundImage("a", None, Certainty.UNRESOLVED, "-", 0)],
            [SkippedInput("-", 0, "m")],
            [Coverage(Reference(Repository("r.io", "a")), Covered.NO)],
            created_at="2026-08-28T01:00:00Z",
        ),
        "imgsync.access/v1": encode_access([Access("r.io", "source", "a", "pull")]),
        **serve_documents(),
    }
    return {name: json.loads(to_json(document, indented=False)) for name, document in found.items()}


@pytest.mark.parametrize("name", documents())
def test_every_field_of_a_document_is_described(name):
    """The page lists each field and no other."""
    section = (REFERENCE / "documents.md").read_text(encoding="utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    described = {field for fields, _ in rows(section) for field in fields}

    assert described == set(paths(documents()[name]))


def test_exit_codes_are_those_of_the_program():
    """The page lists each code and no other."""
    page = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8").partition("## By command")[0]
    codes = {0, 1, cli._USAGE_EXIT, cli._BUG_EXIT, plan_run.PENDING_EXIT, session.STOPPED_EXIT, session.CANCELLED_EXIT}

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


def test_exit_codes_named_elsewhere_exist():
    """Other pages name only existing codes."""
    known = {int(code) for code in re.findall(r"^\| (\d+) \|", (REFERENCE / "exit-codes.md").read_text(encoding="utf-8"), re.MULTILINE)}
    for page in (REFERENCE.parent).rglob("*.md"):
        named = {int(code) for code in re.findall(r"(?:exit codes?|[Cc]ode) (\d+)", page.read_text(encoding="utf-8"))}
        assert named <= known, page.name
