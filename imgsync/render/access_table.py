"""The result of `login-check` as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.registries.access import Access
from imgsync.text.sanitize import sanitize_short


def render_access_table(found: Sequence[Access]) -> str:
    """Return *found* as text, lines ending in newlines; what is wrong is marked x."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Sequence[Access]) -> Iterator[str]:
    for one in found:
        who = f"{one.username or 'a login'} from {one.found_in}" if one.found_in else "nobody"
        sign = {True: "+", False: "x", None: "?"}[one.allowed]
        place = f"{sanitize_short(one.registry)} ({one.side} of {sanitize_short(one.mirror)})"
        yield f"  {sign} {place}   as {sanitize_short(who)}   {sanitize_short(_verdict(one))}"
        if one.error:
            yield f"      {sanitize_short(one.error)}"
        if one.hint:
            yield f"      hint: {sanitize_short(one.hint)}"
    bad = sum(one.allowed is False for one in found)
    yield f"{len(found)} checked: {f'{bad} will not work.' if bad else 'all good.'}"


def _verdict(one: Access) -> str:
    if not one.reachable:
        return "cannot be reached"
    if one.allowed is None:
        return f"reached; no repository is known to try to {one.action} at"
    return f"may {'' if one.allowed else 'not '}{one.action}{f' {one.repository}' if one.repository else ''}"
