"""Check saved documents, and all that is rendered from them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from typing import Any

import imgsync
from imgsync.apply.combine import NamedOutcome, combine_outcomes
from imgsync.documents.envelope import parse_document
from imgsync.documents.json_stream import to_json
from imgsync.documents.outcome import decode_shard_outcome, encode_shard_outcome
from imgsync.documents.plan import decode_plan
from imgsync.documents.report import decode_report, encode_report
from imgsync.documents.verification import decode_verification, encode_verification
from imgsync.errors import OutcomeError, UsageError
from imgsync.partition.shard import Shard
from imgsync.plan.model import Plan
from imgsync.plan.shards import Partition
from imgsync.render.gitlab_widget import render_gitlab_summary
from imgsync.render.junit import render_report_junit
from imgsync.render.plan_markdown import render_plan_markdown
from imgsync.render.plan_table import PlanView, render_plan_table
from imgsync.render.report_html import render_report_html
from imgsync.render.report_markdown import render_report_markdown
from imgsync.render.report_table import render_report_table
from imgsync.render.verification_markdown import render_verification_markdown
from imgsync.render.verification_table import render_verification_table
from imgsync.text.layout import PLAIN, Layout


def documents(data: bytes) -> None:
    """
    Check saved plans, reports, verifications and outcomes of shards, with correct checksums.

    They can be read and shown in every format, or there is an error. A plan can be divided.
    """
    try:
        document = parse_document(data, name="plan.json")
    except UsageError:
        return
    with contextlib.suppress(UsageError):
        plan = decode_plan(_seal(document), name="plan.json")
        for explain, layout in ((True, Layout(40, is_terminal=True)), (False, PLAIN)):
            render_plan_markdown(plan, explain=explain, show_kept=explain)
            render_plan_table(plan, PlanView(explain=explain, show_kept=explain, layout=layout))
        render_gitlab_summary(plan)
        _check_division(plan)
    with contextlib.suppress(UsageError):
        report = decode_report(document, name="report.json")
        for render in (render_report_markdown, render_report_table, render_report_junit):
            assert render(report)
        _check_page(render_report_html(report))
        assert decode_report(json.loads(to_json(encode_report(report), indented=False)), name="again").outcomes == report.outcomes
    with contextlib.suppress(UsageError):
        verification = decode_verification(document, name="verification.json")
        render_verification_markdown(verification)
        render_verification_table(verification, show_ok=True, layout=Layout(40, is_terminal=True))
        assert decode_verification(json.loads(json.dumps(encode_verification(verification))), name="again").findings == verification.findings
    with contextlib.suppress(UsageError):
        done = decode_shard_outcome({**document, "imgsync": imgsync.__version__}, name="out.json")
        assert decode_shard_outcome(json.loads(json.dumps(encode_shard_outcome(done))), name="again") == done
        with contextlib.suppress(OutcomeError):
            combine_outcomes(
                Plan(tuple(outcome.change for outcome in done.outcomes), known_id=done.plan_id),
                [NamedOutcome("out.json", done)],
                plan_file="p.json",
                created_at="",
            )


def _check_division(plan: Plan) -> None:
    """Check that each change and each shared blob is in one shard."""
    partition = Partition(plan, 3)
    parts = [partition.select(Shard(number, 3)) for number in (1, 2, 3)]
    assert sorted(str(change.destination) for part in parts for change in part.changes) == sorted(str(change.destination) for change in plan.changes)
    assert sum(len(partition.list_blobs(Shard(number, 3))) for number in (1, 2, 3)) == len(partition.list_blobs(Shard()))


def _check_page(page: str) -> None:
    """Check that a page has its own script and style alone, and a remedy for each problem."""
    assert page.count("<script") == page.count("<style") == 1
    for tag in re.findall(r"<[a-z][^>]*>", page):
        assert not re.search(r"\s(?:on\w+|src|srcset|href|style|action)\s*=", re.sub(r'"[^"]*"', '""', tag)), tag
    assert not re.search(r"<dt>What (?:happened|to do)</dt><dd>\s*</dd>", page)


def _seal(document: dict[str, Any]) -> dict[str, Any]:
    def canonical(part: object) -> bytes:
        return json.dumps(part, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

    document = {**document, "id": hashlib.sha256(canonical(document.get("changes"))).hexdigest()[:8]}
    return document | {"check": hashlib.sha256(canonical({key: value for key, value in document.items() if key != "check"})).hexdigest()}
