"""
Verify every byte of a bundle's volumes, and name the images lost.

Nothing is written, and nothing outside the named folders is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from imgsync.bundle.check_volume import Problem, check_volume
from imgsync.bundle.cut_blobs import CutBlobs
from imgsync.bundle.findings import MISSING, LostImage, Verification, VolumeCheck
from imgsync.bundle.image_needs import ImageNeeds
from imgsync.bundle.model import Bundle, BundleVolume
from imgsync.bundle.open_bundle import OpenBundle
from imgsync.bundle.read_file import drop_cache, open_regular
from imgsync.bundle.volume_layout import VolumeLayout, lay_out_volumes
from imgsync.concurrency.native_thread import NativeThread
from imgsync.oci.spec.digest import shorten_digest

# Enough to see what kind of damage it is.
_PROBLEMS_LIMIT = 100


def verify_bundle(
    folders: Sequence[Path], bundle: Bundle, *, on_bytes: Callable[[int], None] | None = None, on_volume: Callable[[], None] | None = None
) -> Verification:
    """
    Compare the volumes of *bundle* in *folders* with its document.

    *on_bytes* is called with the number of bytes that were read since its last call, and *on_volume* after each volume.
    """
    found = _Damage(bundle)
    cut = CutBlobs(bundle)
    thread = NativeThread()
    try:
        for layout in lay_out_volumes(bundle):
            found.begin(bundle.volumes[layout.number - 1], layout)
            thread.run_steps(_check_file(folders, bundle.volumes[layout.number - 1].file, layout, cut), _make_taker(found, on_bytes))
            if on_volume is not None:
                on_volume()
    finally:
        thread.close()
    with OpenBundle(folders, bundle) as opened:
        for digest, reason in cut.find_wrong(opened):
            found.add_blob(digest, reason)
        lost = tuple(_list_lost(opened, found.lost))
    return Verification(bundle, tuple(found.summarize(lost)), lost)


def _make_taker(found: _Damage, on_bytes: Callable[[int], None] | None) -> Callable[[int | Problem | str], None]:
    def take(step: int | Problem | str) -> None:
        if not isinstance(step, int):
            found.add(step)
        elif on_bytes is not None:
            on_bytes(step)

    return take


def _check_file(folders: Sequence[Path], name: str, layout: VolumeLayout, cut: CutBlobs) -> Iterator[int | Problem | str]:
    """Check one volume; yield a text if it is unusable."""
    folder = next((one for one in folders if os.path.lexists(one / name)), None)
    if folder is None:
        yield MISSING
        return
    try:
        file = open_regular(folder, name)
    except OSError as error:
        yield f"it cannot be read: {error.strerror}"
        return
    try:
        size = os.fstat(file).st_size
        if size == layout.size_bytes:
            # Read from the medium, not from what memory holds of it.
            drop_cache(file)
            yield from check_volume(file, layout, cut.take)
        else:
            yield f"it has {size:,} bytes, not {layout.size_bytes:,}"
    finally:
        os.close(file)


class _Damage:
    """What is wrong, while volumes are checked."""

    def __init__(self, bundle: Bundle) -> None:
        """Start without damage of *bundle*."""
        self._files = {blob.digest: [bundle.volumes[number - 1].file for number in blob.volumes] for blob in bundle.blobs}
        self._checks: list[VolumeCheck] = []
        self._layout: VolumeLayout | None = None
        self.lost: dict[str, dict[str, str]] = {}

    def begin(self, volume: BundleVolume, layout: VolumeLayout) -> None:
        """Note what follows as the damage of *volume*."""
        self._layout = layout
        self._checks.append(VolumeCheck(volume.file, volume.size_bytes))

    def add(self, problem: Problem | str) -> None:
        """Note a problem; a text is one of the whole volume."""
        check = self._checks[-1]
        if isinstance(problem, str):
            self._checks[-1] = VolumeCheck(check.file, check.size_bytes, problem)
            for member in self._layout.members if self._layout is not None else ():
                if member.digest:
                    self.lost.setdefault(member.digest, {})[check.file] = problem
            return
        problems = check.problems if check.problem_count >= _PROBLEMS_LIMIT else (*check.problems, problem)
        self._checks[-1] = VolumeCheck(check.file, check.size_bytes, "", problems, check.problem_count + 1)
        if problem.digest:
            self.lost.setdefault(problem.digest, {})[check.file] = problem.message

    def add_blob(self, digest: str, reason: str) -> None:
        """Note that a blob is wrong though its parts are right."""
        if digest not in self.lost:
            self.lost[digest] = dict.fromkeys(self._files[digest], reason)

    def summarize(self, lost: Sequence[LostImage]) -> Iterator[VolumeCheck]:
        """Yield the check of each volume, with the images that it costs."""
        for one in self._checks:
            costs = tuple(str(image.image.destination) for image in lost if one.file in image.volumes)
            yield VolumeCheck(one.file, one.size_bytes, one.unusable, one.problems, one.problem_count, costs)


def _list_lost(opened: OpenBundle, lost: Mapping[str, Mapping[str, str]]) -> Iterator[LostImage]:
    """Yield the images that need a blob that is lost."""
    needs = ImageNeeds(opened)
    for image in opened.document.images:
        reasons: dict[str, None] = {}
        files: dict[str, None] = {}
        for digest, problem in needs.list_needs(image):
            for file, reason in lost.get(digest, {}).items():
                reasons[f"{file}: {reason} ({shorten_digest(digest)})"] = None
                files[file] = None
            if problem and digest not in lost:
                reasons[f"{shorten_digest(digest)}: {problem}"] = None
        if reasons:
            yield LostImage(image, tuple(reasons), tuple(files))
