"""
Untrusted text in Markdown, without links, images, HTML, mentions or references.

GitHub and GitLab also link `@name`, `#1`, `!1`, commit hashes and bare addresses, but never in code. So everything except plain words goes
into a code span. Our own messages have code spans already; they stay spans.
"""

from __future__ import annotations

import html
import itertools
import re

from imgsync.plan.model import PlanError
from imgsync.text.code_spans import CodeSpan, split_code_spans
from imgsync.text.sanitize import sanitize_short

_LIMIT = 600
_TICKS = re.compile(r"`+")
# A word or a small number, also in parentheses. Seven letters from a to f may be a commit hash; `1.` and `1)` start a list.
_WORD = r"(?![a-f]{7,}\b)[A-Za-z]+(?:'[a-z]+)?"
_PLAIN = re.compile(rf"(?:{_WORD}|\((?:{_WORD}|[0-9]{{1,6}})\))[,.;:]?|[0-9]{{1,6}}[,;:]?|→")


def format_code(text: str, *, in_table: bool = False) -> str:
    """Return *text* as a code span; "" if empty."""
    return _wrap_code(_clip(sanitize_short(text)), in_table=in_table)


def _wrap_code(shown: str, *, in_table: bool) -> str:
    """Return sanitized text as a code span."""
    if not shown:
        return ""
    runs = {len(run) for run in _TICKS.findall(shown)}
    fence = "`" * next(count for count in itertools.count(1) if count not in runs)
    # Markdown strips one space at each end, which allows a backtick there.
    padding = " " if shown[0] in "` " or shown[-1] in "` " else ""
    span = f"{fence}{padding}{shown}{padding}{fence}"
    return span.replace("|", r"\|") if in_table else span


def format_prose(text: str, *, in_table: bool = False) -> str:
    """Return *text* with everything except plain words in code spans."""
    found: list[str] = []
    for part in split_code_spans(_clip(sanitize_short(text))):
        if isinstance(part, CodeSpan):
            found.append(f"{part.before}{_wrap_code(part.code, in_table=in_table)}{part.after}")
            continue
        for is_plain, words in itertools.groupby(part.split(), key=_is_plain):
            joined = " ".join(words)
            found.append(joined if is_plain else _wrap_code(joined, in_table=in_table))
    return " ".join(found)


def _is_plain(word: str) -> bool:
    return _PLAIN.fullmatch(word) is not None


def format_error(error: PlanError, *, aside: str = "") -> str:
    """Return *error* as a list item; *aside* follows the reference unescaped."""
    mirror = f" (mirror {format_code(error.mirror)})" if error.mirror else ""
    hint = f"; hint: {format_prose(error.hint)}" if error.hint else ""
    return f"- {format_code(error.reference) or 'error'}{mirror}{aside}: {format_prose(error.message)}{hint}"


def format_html_code(text: str) -> str:
    """Return *text* as an HTML `code` element, for HTML lines within Markdown."""
    return f"<code>{html.escape(_clip(sanitize_short(text)))}</code>"


def _clip(text: str) -> str:
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…"
