"""The result of `login-check` as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from imgsync.filters.quote_tags import quote_tags
from imgsync.registries.access import Access
from imgsync.render.mirror_sections import merge_names
from imgsync.text.layout import PLAIN, Layout, measure, wrap
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count

_INDENT = " " * 6
_DEEPER = " " * 8


def render_access_table(found: Sequence[Access], *, layout: Layout = PLAIN) -> str:
    """Return *found* as text; `x` marks what will fail."""
    return "\n".join(_render_lines(found, layout)) + "\n"


def _render_lines(found: Sequence[Access], layout: Layout) -> Iterator[str]:
    # Mirrors that use a registry in the same way share a row.
    rows: defaultdict[Access, list[Access]] = defaultdict(list)
    for one in found:
        rows[replace(one, mirror="", repository="")].append(one)
    for some in rows.values():
        yield from _render_row(some, layout)
    failing = sum(row.allowed is False for row in rows)
    registries = format_count(len({one.registry for one in found}), "registry", "registries")
    yield f"{registries} checked: {f'{failing} will fail.' if failing else 'all good.'}"


def _render_row(some: Sequence[Access], layout: Layout) -> Iterator[str]:
    one = some[0]
    sign = {True: "+", False: "x", None: "?"}[one.allowed]
    registry = sanitize_short(one.registry)
    use = f"{one.side} of {sanitize_short(quote_tags(merge_names(access.mirror for access in some)))}"
    facts = [sanitize_short(_describe_credentials(one)), sanitize_short(_describe_access(some))]
    line = "   ".join([f"  {sign} {registry} ({use})", *facts])
    if not layout.is_terminal or measure(line) <= layout.width:
        yield line
    else:
        yield f"  {sign} {registry}"
        for part in (use, *facts):
            yield from wrap(part, layout.width, first=_INDENT, rest=_DEEPER)
    for text in (one.error, one.hint and f"hint: {one.hint}"):
        shown = sanitize_short(text)
        if shown:
            yield from wrap(shown, layout.width, first=_INDENT, rest=_DEEPER) if layout.is_terminal else [f"{_INDENT}{shown}"]


def _describe_credentials(one: Access) -> str:
    if not one.found_in:
        return "anonymous"
    return f"as {one.username} from {one.found_in}" if one.username else f"with a login from {one.found_in}"


def _describe_access(some: Sequence[Access]) -> str:
    one = some[0]
    if not one.reachable:
        return "unreachable"
    if one.allowed is None:
        return f"reachable; no repository to test {one.action} with"
    repositories = quote_tags(merge_names(access.repository for access in some if access.repository))
    return f"may {'' if one.allowed else 'not '}{one.action}{f' {repositories}' if repositories else ''}"
