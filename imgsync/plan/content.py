"""
What the copies of a plan bring to each repository.

A saved plan keeps it, so that shards divide the work without asking a source for a manifest. It is a hint for the division: what an image
consists of is read from its manifests, when it is copied.
"""

from __future__ import annotations

from typing import Any

from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class RepositoryContent:
    """
    What copying brings to one destination repository.

    `own_bytes` are those of blobs that no other repository needs and that the registry is not known to have. `requests` is an estimate.
    `has_content` says that the repository had tags or blobs when the plan was made.
    """

    repository: str
    own_bytes: int
    requests: int
    has_content: bool


@dataclass(frozen=True, slots=True)
class SharedBlob:
    """
    A blob that several repositories of one destination registry need.

    All get it from one source registry. `changes` are places in the plan's changes: the first one of each repository.
    """

    digest: str
    size_bytes: int
    changes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlanContent:
    """The content of all creates and updates of a plan."""

    repositories: tuple[RepositoryContent, ...] = ()
    shared: tuple[SharedBlob, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """Return it in JSON."""
        return {
            "repositories": [{name: getattr(one, name) for name in one.__slots__} for one in self.repositories],
            "shared": [{"digest": one.digest, "size_bytes": one.size_bytes, "changes": list(one.changes)} for one in self.shared],
        }
