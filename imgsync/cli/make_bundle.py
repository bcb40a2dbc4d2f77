"""
Make a bundle while a plan is applied.

The plan comes first, then all manifests are read, so that every blob has its place before the first one is copied. Then the plan is applied like any other,
with the bundle in place of the destinations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from imgsync.apply.report import Report, Result
from imgsync.bundle.fit_images import Named, Room, find_unfit, limit_room
from imgsync.bundle.lay_out import LayoutOptions, drop_unfinished, find_disputed, lay_out
from imgsync.bundle.model import Bundle
from imgsync.bundle.placement import Placement
from imgsync.bundle.read_content import ContentReader, ReadImage, WantedImage
from imgsync.bundle.work_folder import find_room
from imgsync.bundle.writer import BundleWriter
from imgsync.cli.other_side import OtherSide
from imgsync.cli.session import Session
from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Config, Mirror
from imgsync.errors import ImgsyncError, StoppedError
from imgsync.images.image import pull_manifest
from imgsync.oci.image_store import ImageStore
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Reference
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Change, Plan
from imgsync.state import SeenBlobs
from imgsync.text.units import format_bytes

_IMAGES_AT_ONCE = 8
_PROOFS_AT_ONCE = 16
_UNKNOWN_ROOM_BYTES = 1 << 63


class BundleMaker:
    """Makes one bundle: `prepare` takes the plan, `finish` the report."""

    def __init__(self, folder: Path, side: OtherSide, options: LayoutOptions, session: Session, config: Config, context: PlanContext) -> None:
        """Write to *folder* what *side* lacks."""
        self._folder = folder
        self._side = side
        self._options = options
        self._session = session
        self._context = context
        self._mirrors: Mapping[str, Mirror] = {mirror.name: mirror for mirror in config.mirrors}
        self._contents = side.contents
        self._reader = ContentReader(side.contents.holdings, context.manifests, context.referrers, context.external_layers)
        self._images: tuple[ReadImage, ...] = ()
        self._contents.on_fault = lambda error: session.stop.close(error.message, grace_seconds=0.0)

    def prepare(self, plan: Plan) -> None:
        """
        Read the images of *plan*, and lay the bundle out.

        An image that cannot be read has no place; its copy reports why.

        Raises:
            LockedError: Another process writes to the folder.
            OutputError: The folder cannot be written.
            UsageError: The folder holds another bundle, or the volumes are too small.
        """
        read = map_unordered(self._read, plan.copies, limit=_IMAGES_AT_ONCE)
        images = sorted((one for one in read if one is not None), key=lambda one: str(one.image.destination))
        self._images = tuple(self._drop_unfit(tuple(self._drop_false_sizes(images))))
        if not self._images:
            return
        self._contents.writer = writer = BundleWriter(self._folder, lay_out(self._images, self._contents.holdings, self._options))
        for image in self._images:
            self._note(image, ((blob, "") for blob in image.list_blobs() if blob.digest in image.held))
        if writer.is_complete:
            # Each blob was read from its source when the bundle was made.
            for image in self._images:
                self._note(image, ((blob, image.image.source.repository.registry) for blob in image.list_blobs()))
        else:
            self._note_finished(writer)

    def finish(self, report: Report) -> Bundle | None:
        """
        Complete the bundle with the images that were copied; None without any.

        Raises:
            OutputError: The bundle cannot be written.
        """
        writer = self._contents.writer
        if writer is None:
            return None
        copied = {outcome.change.destination for outcome in report.select(Result.COPIED, Result.FAILED) if outcome.digest is not None}
        images = [image for image in self._images if image.image.destination in copied]
        self._write_manifests(writer, images)
        whole = tuple(drop_unfinished(images, writer.has))
        if not whole:
            return None
        if whole == self._images:
            return writer.finish()
        writer.close()
        with self._open(lay_out(whole, self._contents.holdings, self._options)) as smaller:
            return smaller.finish()

    def close(self) -> None:
        """Close the files; what was written is kept for the next run."""
        if self._contents.writer is not None:
            self._contents.writer.close()

    def _open(self, placement: Placement) -> BundleWriter:
        self._contents.writer = BundleWriter(self._folder, placement)
        return self._contents.writer

    def _read(self, change: Change) -> ReadImage | None:
        mirror = self._mirrors[change.mirror]
        try:
            return self._reader.read(self._make_client(mirror), _describe(change, mirror))
        except StoppedError:
            raise
        except ImgsyncError:
            return None

    def _drop_false_sizes(self, images: Sequence[ReadImage]) -> Iterator[ReadImage]:
        """Yield *images* without those that give false sizes."""
        disputed = find_disputed(images)
        sizes: dict[str, int] = {}
        for image in images:
            client = self._make_client(self._mirrors[image.image.mirror])
            own = [blob for blob in image.list_blobs() if blob.digest in disputed]
            repository = image.image.source.repository
            if all(sizes.get(blob.digest, blob.size_bytes) == blob.size_bytes and self._reader.has_source(client, repository, blob) for blob in own):
                sizes.update((blob.digest, blob.size_bytes) for blob in own)
                yield image

    def _drop_unfit(self, images: Sequence[ReadImage]) -> Iterator[ReadImage]:
        """Yield *images* without those that cannot fit; their copies report why."""
        size_bytes = find_room(self._folder, self._options.name)
        room = Room(_UNKNOWN_ROOM_BYTES, "") if size_bytes is None else Room(size_bytes, f"{self._folder} has room for {format_bytes(size_bytes)}")
        unfit = {id(one.image): one for one in find_unfit(images, limit_room(room, self._options.volume_bytes), self._find_false)}
        for image in images:
            if (found := unfit.get(id(image))) is None:
                yield image
                continue
            self._session.log.warning("bundle.left_out", destination=str(image.image.destination), digest=image.image.digest, reason=found.reason)
            for blob in image.list_blobs():
                self._contents.unplaced.setdefault((image.image.destination.repository, blob.digest), (found.reason, found.hint))

    def _find_false(self, named: Sequence[Named]) -> Iterator[Named]:
        """Yield those of which the source has no blob of this size."""

        def is_false(item: Named) -> tuple[Named, bool]:
            image, blob = item
            client = self._make_client(self._mirrors[image.image.mirror])
            return item, self._reader.lacks_size(client, image.image.source.repository, blob)

        return (item for item, found in map_unordered(is_false, named, limit=_PROOFS_AT_ONCE) if found)

    def _note_finished(self, writer: BundleWriter) -> None:
        """Note what an earlier run wrote and the source has."""
        finished = [(image, [blob for blob in image.list_blobs() if blob.digest not in image.held and writer.has(blob.digest)]) for image in self._images]

        def prove(item: tuple[ReadImage, Sequence[Descriptor]]) -> tuple[ReadImage, list[Descriptor]]:
            image, blobs = item
            repository = image.image.source.repository
            client = self._make_client(self._mirrors[image.image.mirror])
            return image, [blob for blob in blobs if self._reader.has_source(client, repository, blob)]

        for image, proven in map_unordered(prove, (item for item in finished if item[1]), limit=_PROOFS_AT_ONCE):
            self._note(image, ((blob, image.image.source.repository.registry) for blob in proven))

    def _note(self, image: ReadImage, blobs: Iterable[tuple[Descriptor, str]]) -> None:
        """Note that the destination of *image* has *blobs*, given by a source."""
        repository = image.image.destination.repository
        sizes: dict[str, dict[str, int | None]] = {}
        for blob, source in blobs:
            sizes.setdefault(source, {})[blob.digest] = blob.size_bytes
            self._contents.note(repository, blob.digest)
        self._context.state.put(blobs=[SeenBlobs(repository.registry, repository.path, source, some) for source, some in sizes.items()])

    def _write_manifests(self, writer: BundleWriter, images: Iterable[ReadImage]) -> None:
        """Write the manifests that the other side has already."""
        for image in images:
            client = self._make_client(self._mirrors[image.image.mirror])
            whole = image.make_image(image.referrers)
            for digest in (*whole.manifests, *(one.digest for one in whole.referrers)):
                if not writer.has(digest):
                    self._write_manifest(writer, client, image, digest)

    def _write_manifest(self, writer: BundleWriter, client: ImageStore, image: ReadImage, digest: str) -> None:
        reference = Reference(image.image.source.repository, digest=digest)
        try:
            manifest = pull_manifest(client, reference, self._context.manifests)
        except StoppedError:
            # The next run goes on; a smaller bundle would be another one.
            raise
        except ImgsyncError as error:
            self._session.log.warning("bundle.left_out", destination=str(image.image.destination), digest=digest, reason=error.message)
            return
        if writer.is_placed(digest):
            writer.write_whole(digest, manifest.raw)

    def _make_client(self, mirror: Mirror) -> ImageStore:
        return self._session.registries.make_source_client(mirror, check=self._session.stop.raise_if_requested)


def list_left_out(report: Report, bundle: Bundle | None) -> Iterator[tuple[Reference, str]]:
    """Yield each image of the plan that *bundle* lacks, and why."""
    carried = {image.destination for image in bundle.images} if bundle is not None else set()
    for outcome in report.select(Result.FAILED, Result.REFUSED, Result.REMAINING, Result.COPIED):
        if outcome.change.destination not in carried:
            yield outcome.change.destination, outcome.error or "not all of it could be read"


def _describe(change: Change, mirror: Mirror) -> WantedImage:
    return WantedImage(
        source=change.source,
        digest=change.source_digest or "",
        destination=change.destination,
        destination_digest=change.destination_digest,
        mirror=change.mirror,
        platforms=None if mirror.platforms is None else tuple(parse_platform(text) for text in mirror.platforms),
        referrers=mirror.referrers,
        limit=mirror.concurrency.blobs,
    )
