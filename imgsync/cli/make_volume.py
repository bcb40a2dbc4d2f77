"""Make one volume of a bundle again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from imgsync.apply.report import Report
from imgsync.bundle.check_bundle import find_name
from imgsync.bundle.destination import BundleContents
from imgsync.bundle.existing_bundle import make_draft
from imgsync.bundle.image_needs import ImageNeeds
from imgsync.bundle.model import Bundle, BundleImage
from imgsync.bundle.open_bundle import OpenBundle, read_document
from imgsync.bundle.placement import Placement
from imgsync.bundle.writer import BundleWriter
from imgsync.config.model import Config
from imgsync.errors import BundleError, UsageError
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.model import Action, Change, Plan
from imgsync.state import SeenBlobs, StateStore
from imgsync.text.units import format_count, format_timestamp


class VolumeMaker:
    """Makes volume *number* of the bundle in *folder*; see `BundleMaker`."""

    def __init__(self, folder: Path, number: int, contents: BundleContents, state: StateStore) -> None:
        """
        Read the document in *folder*; note in *state* what other volumes have.

        Raises:
            BundleError: It is damaged.
            UsageError: There is none, or it has no such volume.
        """
        self._folder = folder
        self._number = number
        self._contents = contents
        self._state = state
        self._bundle = read_document([folder])
        if number > len(self._bundle.volumes):
            raise UsageError(f"the bundle in {folder} has no volume {number}", hint=f"it has {format_count(len(self._bundle.volumes), 'volume')}")
        contents.takes_only_placed = True

    @property
    def bundle(self) -> Bundle:
        """Return the bundle."""
        return self._bundle

    def make_plan(self, config: Config) -> Plan:
        """Return a plan of the images that have something there."""
        scopes = {mirror.name: DeclarationScope(mirror) for mirror in config.mirrors}
        changes = tuple(_make_change(image, scopes.get(image.mirror)) for image in self._find_images())
        return Plan(changes, created_at=format_timestamp(datetime.now(UTC), milliseconds=True))

    def prepare(self, plan: Plan) -> None:
        """Open the volume for writing."""
        placement = Placement(find_name(self._bundle), make_draft(self._bundle))
        self._contents.writer = writer = BundleWriter(self._folder, placement, only_volume=self._number)
        others: dict[str, int | None] = {blob.digest: blob.size_bytes for blob in self._bundle.blobs if not writer.is_placed(blob.digest)}
        # Else those that are small would be read ahead from a source that is far away.
        places = {(change.destination.repository.registry, change.source.repository.registry): change.destination.repository.path for change in plan.changes}
        self._state.put(blobs=[SeenBlobs(registry, path, source, others) for (registry, source), path in places.items()])

    def finish(self, _: Report) -> Bundle | None:
        """
        Complete the volume.

        Raises:
            BundleError: A blob of it could not be read.
            OutputError: It cannot be written.
        """
        writer = self._contents.writer
        lost = list(writer.missing()) if writer is not None else []
        if writer is None or lost:
            what = f"{format_count(len(lost), 'blob')} of it could not be read, such as {lost[0]}" if lost else "no image has a blob in it"
            raise BundleError(
                f"volume {self._number} cannot be made again: {what}", hint="see which images failed; if they are gone at the source, make a new bundle"
            )
        return writer.finish()

    def close(self) -> None:
        """Close the files; what was written is kept for the next run."""
        if self._contents.writer is not None:
            self._contents.writer.close()

    def _find_images(self) -> Iterator[BundleImage]:
        wanted = {blob.digest for blob in self._bundle.blobs_of_volume(self._number)}
        with OpenBundle([self._folder], self._bundle) as opened:
            needs = ImageNeeds(opened)
            for image in self._bundle.images:
                # What cannot be read may lie in the volume.
                if any(reason or digest in wanted for digest, reason in needs.list_needs(image)):
                    yield image


def _make_change(image: BundleImage, scope: DeclarationScope | None) -> Change:
    change = Change(
        action=Action.CREATE,
        mirror=image.mirror,
        source=image.source,
        source_digest=image.source.digest or image.digest,
        destination=image.destination,
        destination_digest=None,
        media_type=image.media_type,
        size_bytes=None,
        reason="its volume is made again",
    )
    # An image that was reduced to some platforms is named with the digest that its tag had.
    if scope is not None and image.source.tag and not scope.includes(change):
        return replace(change, source=replace(image.source, digest=""))
    return change
