"""What one copy is asked for, tells while it goes on, and comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from imgsync.concurrency.deadline import Deadline
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.manifest import Descriptor, Manifest, Platform
from imgsync.oci.spec.reference import Reference, Repository


@dataclass(frozen=True, slots=True)
class Job:
    """
    One image to copy: from where by digest, to which tag, with which platforms, which referrers, and how many blobs at once.

    `served` is the digest the destination's tag names already: pushed again it is not, only what refers to it. `registries` are
    all that get this image at the same time, this destination's among them: they share what is read from the source.
    """

    source: Reference
    destination: Reference
    platforms: tuple[Platform, ...] | None
    blobs_at_once: int
    referrers: Sequence[str] | bool = False
    served: str | None = None
    registries: frozenset[str] = frozenset()


@dataclass(slots=True)
class Progress:
    """What one copy moved so far; the copy writes it, anybody may read it."""

    bytes_copied: int = 0
    blobs_copied: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0
    attempts: int = 1
    seen: list[str] = field(default_factory=list)


class Observer(Protocol):
    """Whoever wants to know how one copy goes on."""

    def advanced(self, size_bytes: int) -> None:
        """Bytes moved; negative when a try began anew."""

    def delivered(self, how: str, blob: Descriptor, *, mounted_from: str = "") -> None:
        """A blob is in the destination repository: "copied", "mounted" from the repository at path *mounted_from*, or "present" before."""

    def warned(self, reason: str) -> None:
        """Something was left as it is, and somebody should know."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What the destination serves now: the root manifest as pushed, and the compressed size of the image."""

    root: Manifest
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Task:
    """One copy's surroundings, handed down its steps; without `mounts` every blob is sent, whatever the destination says to have."""

    job: Job
    source: RegistryClient
    destination: RegistryClient
    deadline: Deadline
    progress: Progress
    observer: Observer
    mounts: bool = True

    @property
    def repository(self) -> Repository:
        """Return the repository that is pushed to."""
        return self.job.destination.repository
