"""
Count what a run has done, for the displays.

Listens to planning, copying and verifying. Only counts: the displays read the numbers when they draw.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import Enum, auto

from imgsync.apply.report import Outcome, Result
from imgsync.oci.spec.reference import Reference
from imgsync.plan.model import Change, Plan
from imgsync.progress.rate import Rate
from imgsync.progress.time_left import TimeLeft
from imgsync.system.dataclass import dataclass


class Work(Enum):
    """What a run does with the tags that it finds."""

    PLAN = auto()
    APPLY = auto()
    VERIFY = auto()
    VOLUMES = auto()


@dataclass(slots=True)
class RunningImage:
    """A running copy: the bytes it moved and has to move."""

    name: str
    moved_bytes: int = 0
    size_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Return what it has to move, at least what it moved."""
        return max(self.size_bytes, self.moved_bytes)


class Counts:
    """
    What a run has done so far.

    Attributes:
        repositories: Source repositories found.
        repositories_listed: Those whose tags are known.
        tags: Tags selected in them.
        tags_looked_up: Tags whose plan is made.
        images_total: Images that the plan changes, or volumes to read; None until it is complete.
        images_done: Images copied, deleted or failed, or volumes that were read.
        running: Copies that run, in the order they began.
        bytes_copied: Bytes moved, those of running copies included; where volumes are read, those that were read.
        images_to_read: Images that a deep verification reads; None before that.
        images_read: Those that were read.
        bytes_read: Bytes that it read.
        rate: Bytes per second, of copying or reading.
    """

    def __init__(self, count_requests: Callable[[], int], has_stopped: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Start now.

        Args:
            count_requests: Returns the requests sent so far.
            has_stopped: Returns whether no further image may start.
            clock: Returns seconds.
        """
        self._count_requests = count_requests
        self._has_stopped = has_stopped
        self._clock = clock
        self._began = clock()
        self._planned_bytes: int | None = None
        self._planned_requests = 0
        self._requests_before = 0
        self._time_left = TimeLeft(clock)
        self.repositories = 0
        self.repositories_listed = 0
        self.tags = 0
        self.tags_looked_up = 0
        self.images_total: int | None = None
        self.images_done = 0
        self.running: dict[Reference, RunningImage] = {}
        self.bytes_copied = 0
        self.images_to_read: int | None = None
        self.images_read = 0
        self.bytes_read = 0
        self.rate = Rate(clock)
        self._reads_volumes = False

    @property
    def noun(self) -> str:
        """Return what `images_done` and `images_total` count."""
        return "volume" if self._reads_volumes else "image"

    @property
    def requests(self) -> int:
        """Return the number of requests sent so far."""
        return self._count_requests()

    @property
    def is_stopping(self) -> bool:
        """Return whether no further image may start."""
        return self._has_stopped()

    @property
    def seconds(self) -> float:
        """Return the time since the start."""
        return self._clock() - self._began

    @property
    def has_started_copying(self) -> bool:
        """Return whether a copy has begun, or volumes are read."""
        return bool(self.running or self.images_done or self._reads_volumes)

    @property
    def bytes_total(self) -> int | None:
        """Return the bytes to move, None until the plan is complete."""
        return None if self._planned_bytes is None else max(self._planned_bytes, self.bytes_copied)

    @property
    def left_seconds(self) -> float | None:
        """Return the time left for all images, None if unknown or stopping."""
        if not self.has_started_copying:
            return None
        self._time_left.observe(self.bytes_copied, self.requests)
        if self.bytes_total is None or self.is_stopping:
            return None
        return self._time_left.estimate(self.bytes_total - self.bytes_copied, self._requests_left)

    @property
    def _requests_left(self) -> float:
        """Return how many requests the images that are left need at most."""
        # What turns out to be at the destination needs fewer, so the images that are done count too.
        share = (self.images_total - self.images_done) / self.images_total if self.images_total else 0.0
        return max(0.0, min(self._planned_requests * share, self._planned_requests - (self.requests - self._requests_before)))

    def on_repositories(self, count: int) -> None:
        """Count repositories to list."""
        self.repositories += count

    def on_listed(self, tags: int) -> None:
        """Count a listed repository and its selected tags."""
        self.repositories_listed += 1
        self.tags += tags

    def on_looked_up(self) -> None:
        """Count a tag that was looked up."""
        self.tags_looked_up += 1

    def on_plan(self, plan: Plan) -> None:
        """Set the totals of *plan*."""
        self.images_total = len(plan.pending)
        self._planned_requests, self._requests_before = sum(dict(plan.applying).values()), self.requests
        # What was copied and recorded meanwhile does not count in the plan any more.
        self._planned_bytes = plan.transfer_bytes + self.bytes_copied - sum(image.moved_bytes for image in self.running.values())

    def on_start(self, change: Change) -> None:
        """Add a running image."""
        self.rate.start()
        self._time_left.observe(self.bytes_copied, self.requests)
        self.running[change.destination] = RunningImage(str(change.source).partition("/")[2])

    def on_size(self, change: Change, size_bytes: int) -> None:
        """Add to what the image has to move."""
        self.running[change.destination].size_bytes += size_bytes

    def on_found(self, size_bytes: int) -> None:
        """Take bytes off the total that need not be moved."""
        self._drop(size_bytes)

    def on_bytes(self, change: Change, size_bytes: int) -> None:
        """Count bytes of an image, and of the run."""
        self.bytes_copied += size_bytes
        self.running[change.destination].moved_bytes += size_bytes
        self.rate.add(size_bytes)

    def on_shared_bytes(self, size_bytes: int) -> None:
        """Count bytes that are of no image."""
        self.rate.start()
        self.bytes_copied += size_bytes
        self.rate.add(size_bytes)

    def on_finish(self, outcome: Outcome) -> None:
        """Count an image; do not await the rest of a failed one."""
        self.images_done += 1
        image = self.running.pop(outcome.change.destination, None)
        if image is not None and outcome.result is not Result.COPIED:
            self._drop(image.total_bytes - image.moved_bytes)

    def on_images_to_read(self, count: int) -> None:
        """Set how many images will be read."""
        self.images_to_read = count
        self.rate.start()

    def on_bytes_read(self, size_bytes: int) -> None:
        """Count bytes that were read."""
        self.bytes_read += size_bytes
        self.rate.add(size_bytes)

    def on_image_read(self) -> None:
        """Count an image that was read."""
        self.images_read += 1

    def on_volumes(self, count: int, size_bytes: int) -> None:
        """Set how many volumes will be read, and their bytes together."""
        self._reads_volumes = True
        self.images_total = count
        self._planned_bytes = size_bytes
        self.rate.start()
        self._time_left.observe(0, 0)

    def on_volume_bytes(self, size_bytes: int) -> None:
        """Count bytes of volumes that were read."""
        self.bytes_copied += size_bytes
        self.rate.add(size_bytes)

    def on_volume_read(self) -> None:
        """Count a volume that was read."""
        self.images_done += 1

    def _drop(self, size_bytes: int) -> None:
        if self._planned_bytes is not None:
            self._planned_bytes -= size_bytes
