"""Token scopes. Spec: distribution "Token Scope Documentation"."""

from __future__ import annotations

from collections.abc import Iterable


def make_scopes(path: str, actions: str, *, mount_from: str = "") -> tuple[str, ...]:
    """Return the scopes for *actions*, and for a pull from *mount_from*."""
    own = f"repository:{path}:{actions}"
    return (own, f"repository:{mount_from}:pull") if mount_from and mount_from != path else (own,)


def find_repository(scopes: Iterable[str]) -> str:
    """Return the repository of the first scope, "" if it has none."""
    kind, _, rest = next(iter(scopes), "").partition(":")
    return rest.rpartition(":")[0] if kind == "repository" else ""
