"""Check what an API server answers."""

from __future__ import annotations

from datetime import UTC, datetime

from imgsync.serve.lease.record import parse_lease, write_held, write_released

_NOW = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)


def leases(data: bytes) -> None:
    """
    Check Leases that others write.

    Each is refused, or can be taken and released, and keeps what imgsync does not know.
    """
    try:
        lease = parse_lease(data)
    except ValueError:
        return
    held = parse_lease(write_held(lease, name="imgsync", namespace="mirrors", holder="me", duration_seconds=30, now=_NOW))
    assert (held.holder, held.duration_seconds, held.version) == ("me", 30, lease.version)
    assert {**held.whole, "spec": None} == {**lease.whole, "spec": None}
    assert parse_lease(write_released(held, now=_NOW)).holder == ""
