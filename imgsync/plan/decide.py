"""The decision for one destination reference. No I/O, no clock: everything it needs is in its arguments."""

from __future__ import annotations

from dataclasses import dataclass

from imgsync.oci.spec.digest import shorten_digest
from imgsync.plan.model import Action
from imgsync.text.units import format_count

# What the reason of an image begins with that lacks something `require` asks for.
REQUIRED = "not as required: "


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What is known of one destination reference.

    `wanted` is the digest it should serve; `serves` what it serves now, None for nothing; `remembered` whether that
    is what our own record says rather than an answer; `reselected` whether the record was made under other settings;
    `missing_referrers` how many of the image's referrers the destination lacks; `missing_content` how many of its manifests and blobs;
    `held` why the digest is too young, "" when it is not; `uncompared` whether the destination did not let us look.
    """

    wanted: str
    serves: str | None
    immutable: bool
    remembered: bool = False
    reselected: bool = False
    missing_referrers: int = 0
    missing_content: int = 0
    held: str = ""
    uncompared: bool = False


def decide(facts: Facts) -> tuple[Action, str]:
    """
    Return what to do and why, in words.

    Spec: design.md §4 "Actions".
    """
    action, reason = _wanted(facts)
    if facts.held and action in {Action.CREATE, Action.UPDATE} and facts.serves != facts.wanted:
        return Action.HOLD, f"{facts.held}; {reason}"
    return action, reason


def _wanted(facts: Facts) -> tuple[Action, str]:
    if facts.serves is None:
        return Action.CREATE, "destination not compared: it lets nobody look without a login" if facts.uncompared else "not at the destination"
    if facts.serves == facts.wanted:
        return _same(facts)
    moved = f"{shorten_digest(facts.serves)} → {shorten_digest(facts.wanted)}"
    if facts.immutable:
        return Action.REFUSE, f"tag is declared immutable: {moved}"
    if facts.reselected:
        return Action.UPDATE, f"the declared platforms or referrers changed: {moved}"
    return Action.UPDATE, f"source moved {moved}" if facts.remembered else f"destination differs from the source: {moved}"


def _same(facts: Facts) -> tuple[Action, str]:
    if facts.missing_content:
        return Action.UPDATE, f"incomplete: {format_count(facts.missing_content, 'manifest or blob', 'manifests or blobs')} not at the destination"
    if facts.missing_referrers:
        return Action.UPDATE, f"{format_count(facts.missing_referrers, 'referrer')} not at the destination"
    return Action.KEEP, "unchanged since it was pushed" if facts.remembered else "same digest at the destination"
