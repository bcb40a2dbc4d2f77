"""Decide which hosts may receive a registry's credentials."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

# (registry, host of its token server or API). Pairs, because no host is trusted by every registry.
_KNOWN_PAIRS = {
    ("docker.io", "auth.docker.io"),
    ("docker.io", "hub.docker.com"),
    ("ghcr.io", "api.github.com"),
    ("registry.gitlab.com", "gitlab.com"),
    ("nvcr.io", "authn.nvidia.com"),
}


def is_trusted_host(registry: str, own_host: str, host: str) -> bool:
    """
    Return whether *host* may receive the credentials of *registry*.

    It may if it is *own_host* (where the registry is reached), shares its registrable domain, or is a known pair with *registry*.
    """
    return own_host == host or is_same_site(own_host, host) or (registry, host) in _KNOWN_PAIRS


def is_same_site(one: str, other: str) -> bool:
    """Return whether two host names share a registrable domain."""
    if any(host.replace(".", "").isdigit() or ":" in host for host in (one, other)):
        return False
    site = _load_public_suffixes().privatesuffix(one)
    return site is not None and site == _load_public_suffixes().privatesuffix(other)


@functools.cache
def _load_public_suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()
