"""Check saved documents, and all that is rendered from them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from typing import Any

from imgsync.documents.envelope import parse_document
from imgsync.documents.plan import decode_plan
from imgsync.documents.report import decode_report, encode_report
from imgsync.documents.verification import decode_verification, encode_verification
from imgsync.errors import UsageError
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
    Check saved plans, reports and verifications, with correct checksums.

    They can be read and shown in every format, or there is an error.
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
    with contextlib.suppress(UsageError):
        report = decode_report(document, name="report.json")
        for render in (render_report_markdown, render_report_table, render_report_junit):
            assert render(report)
        _check_page(render_report_html(report))
        assert decode_report(json.loads(json.dumps(encode_report(report))), name="again").outcomes == report.outcomes
    with contextlib.suppress(UsageError):
        verification = decode_verification(document, name="verification.json")
        render_verification_markdown(verification)
        render_verification_table(verification, show_ok=True, layout=Layout(40, is_terminal=True))
        assert decode_verification(json.loads(json.dumps(encode_verification(verification))), name="again").findings == verification.findings


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
