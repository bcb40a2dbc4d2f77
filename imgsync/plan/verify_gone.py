"""
Check that destinations still have what the source deleted.

No run can repair such a tag: the destination may have the only copy.
"""

from __future__ import annotations

from imgsync.config.model import Mirror
from imgsync.images.completeness import ContentCheck
from imgsync.oci.spec.digest import has_same_algorithm, shorten_digest
from imgsync.plan.context import PlanContext
from imgsync.plan.findings import Condition, Finding
from imgsync.plan.gone_tag import GoneTag

_HINT = "no run can repair it: restore it from another copy, or stop declaring it"


def check_gone_tag(tag: GoneTag, mirror: Mirror, context: PlanContext) -> Finding:
    """
    Return the condition of *tag* at its destination.

    Raises:
        ImgsyncError: The destination fails.
    """
    repository = tag.destination.repository
    client = context.registries.make_destination_client(repository.registry, mirror, check=context.stop.raise_if_requested)
    served = context.destination_tags.resolve(client, tag.destination)
    if served is None:
        return _make_finding(tag, served, "not at the destination")
    if served != tag.digest and has_same_algorithm(served, tag.digest):
        return _make_finding(tag, served, f"the destination serves {shorten_digest(served)}, not {shorten_digest(tag.digest)}")
    # An external layer cannot come from the source any more.
    content: ContentCheck = context.content.check_content(client, tag.destination, served, limit=mirror.concurrency.blobs, is_at_source=lambda _: False)
    return _make_finding(tag, served, f"incomplete at the destination: {', '.join(content.missing)}" if content.missing else "")


def _make_finding(tag: GoneTag, served: str | None, trouble: str) -> Finding:
    reason = f"{tag.description}; {trouble}" if trouble else tag.description
    condition = Condition.LOST if trouble else Condition.GONE
    return Finding(condition, tag.mirror, str(tag.source), None, str(tag.destination), served, reason, _HINT if trouble else "")
