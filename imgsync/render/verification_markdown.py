"""A verification as Markdown, for issues and job summaries."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from imgsync import __version__
from imgsync.plan.findings import REPAIRABLE, Condition, Finding, Verification
from imgsync.render.limited_page import Block, Entry, render_limited_page
from imgsync.render.markdown import format_code, format_error, format_prose
from imgsync.render.verification_table import format_summary
from imgsync.text.layout import shorten_digests

MARKER = "<!-- imgsync-verify -->"


def render_verification_markdown(found: Verification, *, limit: int = 60_000) -> str:
    """
    Return *found* as Markdown.

    The first line is a marker to find the comment again.

    Args:
        found: The verification; tags that are ok are only counted.

        limit: The most UTF-16 units, at least 1,000.

    Raises:
        ValueError: *limit* is under 1,000.
    """
    remedy = (
        "\nRepair it with `imgsync apply` and the same PATH, `--only`, `--state` and `--registries`.\n"
        if any(finding.condition in REPAIRABLE for finding in found.findings)
        else ""
    )
    opening = f"{MARKER}\n### imgsync verify — {format_summary(found)}\n{remedy}\n<sub>imgsync {__version__}</sub>\n"
    errors = Block(head="\n**Could not be checked**\n\n", more="- … and {} more errors\n")
    drift = Block(head="\n| tag | mirror | condition | why |\n|---|---|---|---|\n")
    held = Block(
        head="\n<details><summary>On hold</summary>\n\n| tag | mirror | condition | why |\n|---|---|---|---|\n",
        tail="\n</details>\n",
        more="\n… and {} more.\n",
    )
    left_out = Block(head="\n**Left out on purpose**\n\n| tag | mirror | condition | why |\n|---|---|---|---|\n", more="\n… and {} more.\n")
    gone = Block(
        head="\n<details><summary>Gone at the source, kept here</summary>\n\n| tag | mirror | condition | why |\n|---|---|---|---|\n",
        tail="\n</details>\n",
        more="\n… and {} more.\n",
    )
    entries = _yield_entries(found, errors, drift, gone, held, left_out)
    return render_limited_page(opening, (errors, drift, gone, held, left_out), entries, limit=limit, kinds=("error", "tag"), shown_by="imgsync verify")


def _yield_entries(found: Verification, errors: Block, drift: Block, gone: Block, held: Block, left_out: Block) -> Iterator[Entry]:
    yield from (Entry(errors, partial(format_error, error), "error") for error in found.errors)
    yield from (Entry(drift, partial(_render_row, finding), "tag") for finding in found.drift)
    yield from (Entry(gone, partial(_render_row, finding), "tag") for finding in found.findings if finding.condition is Condition.GONE)
    yield from (Entry(held, partial(_render_row, finding), "tag") for finding in found.findings if finding.condition is Condition.HELD)
    complete = (finding for finding in found.findings if finding.left_out and finding.condition is Condition.OK)
    yield from (Entry(left_out, partial(_render_row, finding), "tag") for finding in complete)


def _render_row(finding: Finding) -> str:
    why, hint = (format_prose(text, in_table=True) for text in (shorten_digests(finding.reason), finding.hint))
    tag, mirror = (format_code(text, in_table=True) for text in (finding.destination, finding.mirror))
    return f"| {tag} | {mirror} | {finding.condition.value} | {why}{f'; hint: {hint}' if hint else ''} |"
