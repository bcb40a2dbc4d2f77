"""The result of `login-check` as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.registries.access import Access
from imgsync.text.sanitize import sanitize_short


def render_access_table(found: Sequence[Access]) -> str:
    """Return *found* as text; `x` marks what will fail."""
    return "\n".join(_render_lines(found)) + "\n"


def _render_lines(found: Sequence[Access]) -> Iterator[str]:
    for one in found:
        who = f"as {one.username}" if one.username else "with a login"
        credentials = f"{who} from {one.found_in}" if one.found_in else "anonymous"
        sign = {True: "+", False: "x", None: "?"}[one.allowed]
        place = f"{sanitize_short(one.registry)} ({one.side} of {sanitize_short(one.mirror)})"
        yield f"  {sign} {place}   {sanitize_short(credentials)}   {sanitize_short(_describe_access(one))}"
        if one.error:
            yield f"      {sanitize_short(one.error)}"
        if one.hint:
            yield f"      hint: {sanitize_short(one.hint)}"
    failing = sum(one.allowed is False for one in found)
    yield f"{len(found)} checked: {f'{failing} will fail.' if failing else 'all good.'}"


def _describe_access(one: Access) -> str:
    if not one.reachable:
        return "unreachable"
    if one.allowed is None:
        return f"reachable; no repository to test {one.action} with"
    return f"may {'' if one.allowed else 'not '}{one.action}{f' {one.repository}' if one.repository else ''}"
