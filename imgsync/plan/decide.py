"""Decide what to do with one destination reference."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.oci.spec.digest import shorten_digest
from imgsync.plan.model import Action
from imgsync.plan.refusal import IMMUTABLE
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count


@dataclass(frozen=True, slots=True)
class Facts:
    """
    What is known about one destination reference.

    Attributes:
        desired: The digest it should serve.
        served: The digest it serves now, None for none.
        is_immutable: The tag must not move.
        is_recorded: `served` comes from the state, not from the registry.
        has_other_settings: The record was made under other settings.
        missing_referrers: Number of referrers that the destination lacks.
        outdated_referrers: Number of cosign tags that differ from the source's.
        missing_content: Number of manifests and blobs that the destination lacks.
        hold_reason: Why the digest is too young; "" if it is not.
        is_uncompared: The destination requires a login that we do not have.
        why_immutable: How the reason begins if an immutable tag would move.
    """

    desired: str
    served: str | None
    is_immutable: bool
    is_recorded: bool = False
    has_other_settings: bool = False
    missing_referrers: int = 0
    outdated_referrers: int = 0
    missing_content: int = 0
    hold_reason: str = ""
    is_uncompared: bool = False
    why_immutable: str = IMMUTABLE


def decide(facts: Facts) -> tuple[Action, str]:
    """
    Return what to do, and the reason in words.

    Spec: docs/explanation/plan-and-apply.md.
    """
    action, reason = _compare(facts)
    if facts.hold_reason and action in {Action.CREATE, Action.UPDATE} and facts.served != facts.desired:
        return Action.HOLD, f"{facts.hold_reason}; {reason}"
    return action, reason


def _compare(facts: Facts) -> tuple[Action, str]:
    if facts.served is None:
        return Action.CREATE, "destination requires a login; not compared" if facts.is_uncompared else "not at the destination"
    if facts.served == facts.desired:
        return _check_content(facts)
    moved = f"{shorten_digest(facts.served)} → {shorten_digest(facts.desired)}"
    if facts.is_immutable:
        return Action.REFUSE, f"{facts.why_immutable}: {moved}"
    if facts.has_other_settings:
        return Action.UPDATE, f"the declared platforms or referrers changed: {moved}"
    return Action.UPDATE, f"source moved {moved}" if facts.is_recorded else f"destination differs from the source: {moved}"


def _check_content(facts: Facts) -> tuple[Action, str]:
    if facts.missing_content:
        return Action.UPDATE, f"incomplete: {format_count(facts.missing_content, 'manifest or blob', 'manifests or blobs')} not at the destination"
    if facts.missing_referrers or facts.outdated_referrers:
        return Action.UPDATE, ", ".join(_describe_referrers(facts))
    return Action.KEEP, "unchanged since it was pushed" if facts.is_recorded else "same digest at the destination"


def _describe_referrers(facts: Facts) -> Iterator[str]:
    if facts.missing_referrers:
        yield f"{format_count(facts.missing_referrers, 'referrer')} not at the destination"
    if facts.outdated_referrers:
        yield f"{format_count(facts.outdated_referrers, 'referrer')} not as at the source"
