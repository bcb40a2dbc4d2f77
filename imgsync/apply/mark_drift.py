"""Mark in the state what `verify` found, so that `apply` repairs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.images.completeness import ContentChecker
from imgsync.oci.spec.reference import parse_reference
from imgsync.plan.findings import REPAIRABLE, Condition, Verification
from imgsync.state import Record, StateStore

_MARKED = REPAIRABLE | {Condition.DAMAGED, Condition.LOST}


def list_contradicted(found: Verification, state: StateStore) -> tuple[Record, ...]:
    """Return the confirmed records of *state* that *found* contradicts."""
    records = (state.get(finding.destination) for finding in found.findings if finding.condition in _MARKED)
    return tuple(record for record in records if record is not None and record.is_confirmed)


def mark_drift(found: Verification, content: ContentChecker, state: StateStore) -> None:
    """
    Mark the records that *found* contradicts as unconfirmed; forget lost blobs.

    Raises:
        StateError: The state cannot be written.
    """
    state.put([record.tainted for record in list_contradicted(found, state)], lost=_list_lost(found, content))


def _list_lost(found: Verification, content: ContentChecker) -> Iterator[tuple[str, str, Sequence[str]]]:
    for finding in found.drift:
        reference = parse_reference(finding.destination)
        held = content.get(reference)
        if held is not None and held.missing:
            yield reference.repository.registry, reference.repository.path, held.missing
