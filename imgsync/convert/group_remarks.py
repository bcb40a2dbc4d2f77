"""Group equal remarks, so that each is shown once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from imgsync.convert.conversion import Remark

_SHOWN_LINES = 5


def group_remarks(remarks: Iterable[Remark]) -> Iterator[str]:
    """Yield each remark once, with the lines of the equal ones."""
    groups: dict[tuple[object, ...], list[Remark]] = {}
    for remark in sorted(remarks):
        groups.setdefault((remark.file, remark.message, remark.hint, remark.lost), []).append(remark)
    for first, *others in groups.values():
        yield f"{first}{_format_lines(first, others)}"


def _format_lines(first: Remark, others: list[Remark]) -> str:
    lines = sorted({remark.line for remark in others} - {first.line})
    if not lines:
        return ""
    shown, more = lines[:_SHOWN_LINES], len(lines) - _SHOWN_LINES
    return f" [also in line{'s' if len(lines) > 1 else ''} {', '.join(map(str, shown))}{f' and {more:,} more' if more > 0 else ''}]"
