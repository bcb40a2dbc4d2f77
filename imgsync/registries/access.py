"""The credentials used at a registry, and what they permit."""

from __future__ import annotations

from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """
    What one mirror may do at one registry.

    `action` is "pull" at its source, or "push" at a destination. It was tried on `repository`; without one, `allowed` is None.
    `found_in` says where the credentials come from, "" for anonymous. `username` is "" also if it must not be shown.
    """

    registry: str
    side: str
    mirror: str
    action: str
    repository: str = ""
    username: str = ""
    found_in: str = ""
    reachable: bool = False
    allowed: bool | None = None
    error: str = ""
    hint: str = ""
