"""
Where shards send a blob that several of them need.

Each such blob has a home: a repository that needs it too. Who needs the blob first sends it there, and all others mount it from there. No shard
asks another one: each finds out at the registry. A home that lacks the blob costs a request, and the blob is copied.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import field

from imgsync.oci.spec.descriptor import Descriptor
from imgsync.system.dataclass import dataclass
from imgsync.transfer.model import Task
from imgsync.transfer.mounts import is_present

_POLL_SECONDS = 1.0
# Destination registry, source registry and digest: only who has the blob may have it published.
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class SharedBlobs:
    """
    The shared blobs of a plan, as one shard sees them.

    Attributes:
        homes: The path of each blob's home.
        own: Those that this shard copies first. The others it awaits.
        wait_seconds: How long to wait for other shards without any blob arriving.
        asks: Whether a home may have the blob already.
    """

    homes: Mapping[Place, str] = field(default_factory=dict)
    own: Collection[Place] = frozenset()
    wait_seconds: float = 0.0
    asks: bool = True


class BlobHomes:
    """The homes of one run, and how long it still waits."""

    def __init__(self, shared: SharedBlobs) -> None:
        """Begin with every home usable."""
        self._shared = shared
        self._unusable: set[tuple[str, str]] = set()
        self._wait_ends: float | None = None

    def find(self, task: Task, blob: Descriptor) -> str:
        """Return the path of the blob's home, "" if it has none."""
        registry = task.repository.registry
        path = self._shared.homes.get(_locate(task, blob), "")
        return "" if (registry, path) in self._unusable else path

    def is_home(self, task: Task, blob: Descriptor) -> bool:
        """Return whether the task's repository is the blob's home."""
        return self.find(task, blob) == task.repository.path

    def may_have(self, task: Task, blob: Descriptor) -> bool:
        """Return whether the repository is the home, and may have the blob."""
        return self._shared.asks and self.is_home(task, blob)

    def give_up(self, registry: str, path: str) -> None:
        """Stop using the repository at *path* as a home."""
        self._unusable.add((registry, path))

    def has_arrived(self, task: Task, blob: Descriptor) -> bool:
        """Return whether the home has the blob, after waiting for another shard."""
        while not is_present(task.destination, task.repository, blob):
            if not self._waits_for(task, blob):
                return False
            task.deadline.check()
            task.destination.retry_policy.pause(min(_POLL_SECONDS, self._shared.wait_seconds))
        if self._wait_ends is not None:
            # The others are at work.
            self._wait_ends = time.monotonic() + self._shared.wait_seconds
        return True

    def _waits_for(self, task: Task, blob: Descriptor) -> bool:
        if _locate(task, blob) in self._shared.own:
            return False
        if self._wait_ends is None:
            self._wait_ends = time.monotonic() + self._shared.wait_seconds
        return time.monotonic() < self._wait_ends


def _locate(task: Task, blob: Descriptor) -> Place:
    return task.repository.registry, task.job.source.repository.registry, blob.digest
