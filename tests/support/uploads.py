"""Uploads, as a proxy or a registry saw them."""

from __future__ import annotations

from tests.support.faults import FaultProxy


def sent(proxy: FaultProxy, digest: str) -> int:
    """Return how many bytes of a blob went out, with all tries."""
    return sum(one.bytes_up for one in proxy.recorded(f"^PUT .*digest={digest.replace(':', '%3A')}"))


def sessions(registry, repository: str) -> list[str]:
    """Return the upload sessions whose bytes a registry still keeps."""
    return [path.parent.name for path in (registry.storage / "repositories" / repository / "_uploads").glob("*/data")]
