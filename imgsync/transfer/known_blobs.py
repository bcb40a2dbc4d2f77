"""Where blobs and manifests were seen: what earlier runs remember, and what this one found."""

from __future__ import annotations

from collections.abc import Callable

from imgsync.oci.spec.reference import Repository


class BlobMemory:
    """In which repositories of a registry a digest was seen. One per run, shared by all copies."""

    def __init__(self, remembered: Callable[[str, str], tuple[str, ...]]) -> None:
        """Ask *remembered* (registry, digest) for what earlier runs saw."""
        self._remembered = remembered
        self._seen: dict[tuple[str, str], dict[str, None]] = {}
        self._wrong: set[tuple[str, str, str]] = set()

    def repositories(self, registry: str, digest: str) -> list[str]:
        """Return repository paths of *registry* that should hold the digest, this run's findings first."""
        seen = list(self._seen.get((registry, digest), ()))
        return seen + [path for path in self._remembered(registry, digest) if path not in seen and (registry, digest, path) not in self._wrong]

    def found(self, registry: str, digest: str) -> bool:
        """Return whether *registry* was seen to hold the digest in this run, not only by an earlier one."""
        return bool(self._seen.get((registry, digest)))

    def holds(self, repository: Repository, digest: str) -> bool:
        """Return whether *repository* should hold the digest."""
        return repository.path in self.repositories(repository.registry, digest)

    def saw(self, repository: Repository, digest: str) -> None:
        """Remember that *repository* holds the digest."""
        self._seen.setdefault((repository.registry, digest), {})[repository.path] = None

    def forget(self, repository: Repository, digest: str) -> None:
        """Remember that *repository* does not hold the digest, whatever was believed."""
        self._seen.get((repository.registry, digest), {}).pop(repository.path, None)
        self._wrong.add((repository.registry, digest, repository.path))
