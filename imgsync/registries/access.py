"""The credentials used at a registry and what they permit, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Access:
    """
    What one mirror may do at one registry: "pull" at its source, "push" at a destination, tried on `repository`.

    `found_in` says where the login came from, "" for nobody; `username` is "" also where it may not show. `allowed` is None where
    no repository is known to try it on; `error` and `hint` say what went wrong.
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
