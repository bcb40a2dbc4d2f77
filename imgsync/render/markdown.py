"""
Foreign text in Markdown that obeys nothing: no link, image, HTML, mention, issue or commit reference comes of it.

GitHub and GitLab turn far more than CommonMark's syntax into links (`@name`, `#1`, `!1`, commit hashes, bare addresses), each by filters
that leave code alone. So whatever is not plainly a word stands in a code span.
"""

from __future__ import annotations

import html
import itertools
import re

from imgsync.plan.model import PlanError
from imgsync.text.sanitize import sanitize_short

_LIMIT = 600
_TICKS = re.compile(r"`+")
# A word of letters, or a small number, or either in parentheses. Seven letters from a to f may be a commit; `1.` and `1)` begin a list.
_WORD = r"(?![a-f]{7,}\b)[A-Za-z]+(?:'[a-z]+)?"
_PLAIN = re.compile(rf"(?:{_WORD}|\((?:{_WORD}|[0-9]{{1,6}})\))[,.;:]?|[0-9]{{1,6}}[,;:]?|→")


def format_code(text: str, *, in_table: bool = False) -> str:
    """Return *text* as a code span; in a table its pipes do not end the cell. Empty text is nothing."""
    return _span(_clipped(sanitize_short(text)), in_table=in_table)


def _span(shown: str, *, in_table: bool) -> str:
    """Return as a code span what is safe already: in the middle of a line it must not be taken for a line's beginning."""
    if not shown:
        return ""
    runs = {len(run) for run in _TICKS.findall(shown)}
    fence = "`" * next(count for count in itertools.count(1) if count not in runs)
    # A space is taken away at both ends, so that a backtick may stand there.
    padding = " " if shown[0] in "` " or shown[-1] in "` " else ""
    span = f"{fence}{padding}{shown}{padding}{fence}"
    return span.replace("|", r"\|") if in_table else span


def format_prose(text: str, *, in_table: bool = False) -> str:
    """Return *text* as it reads, what is not plainly a word in code spans."""
    found = []
    for plain, words in itertools.groupby(_clipped(sanitize_short(text)).split(), key=lambda word: _PLAIN.fullmatch(word) is not None):
        joined = " ".join(words)
        found.append(joined if plain else _span(joined, in_table=in_table))
    return " ".join(found)


def format_error(error: PlanError, *, aside: str = "") -> str:
    """Return the item of a list that tells of *error*; *aside*, words of ours, stands behind what it is about."""
    mirror = f" (mirror {format_code(error.mirror)})" if error.mirror else ""
    hint = f"; hint: {format_prose(error.hint)}" if error.hint else ""
    return f"- {format_code(error.reference) or 'error'}{mirror}{aside}: {format_prose(error.message)}{hint}"


def format_html_code(text: str) -> str:
    """Return *text* for a line of HTML within Markdown, where no Markdown is read: escaped, in a `code` element."""
    return f"<code>{html.escape(_clipped(sanitize_short(text)))}</code>"


def _clipped(text: str) -> str:
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…"
