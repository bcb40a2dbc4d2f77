"""
Verify a volume without the document of its bundle.

Every byte is checked: members against their names, which are digests; parts and `index.json` against `imgsync-volume.json`, which has a digest of
itself. This finds damage, not forgery: a volume alone is not signed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from imgsync.bundle.check_volume import Problem, has_padding
from imgsync.bundle.findings import VolumeAlone
from imgsync.bundle.piece_files import read_exactly, read_range
from imgsync.bundle.read_file import drop_cache, open_regular
from imgsync.bundle.tar_format import END
from imgsync.bundle.volume_document import decode_index, decode_volume_document
from imgsync.bundle.volume_layout import INDEX_MEMBER, LAYOUT_CONTENT, LAYOUT_MEMBER, VOLUME_MEMBER, Member
from imgsync.bundle.volume_reader import iter_members
from imgsync.concurrency.native_thread import NativeThread
from imgsync.errors import BundleError
from imgsync.oci.spec.digest import compute_digest

_OWN = (LAYOUT_MEMBER, INDEX_MEMBER, VOLUME_MEMBER)
# As the document of a bundle.
_CONTENT_LIMIT = 64 << 20
_PROBLEMS_LIMIT = 100


def verify_volume(path: Path, *, on_bytes: Callable[[int], None] | None = None) -> VolumeAlone:
    """
    Verify the volume in the file *path* alone.

    Raises:
        BundleError: It is not a volume of a bundle, or so damaged that its members cannot be found.
    """
    try:
        file = open_regular(path.parent, path.name)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}", hint="name the folder of a bundle, or one of its volumes") from error
    thread = NativeThread()
    try:
        check = _Check(file, str(path))
        thread.run_steps(check.run(), on_bytes)
        return VolumeAlone(check.document, check.images, tuple(check.problems))
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        thread.close()
        os.close(file)


class _Check:
    """Checks one volume while it is read once."""

    def __init__(self, file: int, name: str) -> None:
        """Prepare to check the open *file*, which errors call *name*."""
        self._file = file
        self._name = name
        self.problems: list[Problem] = []
        self.images: tuple[str, ...] = ()

    def run(self) -> Iterator[int]:
        """Check all members and the end; yield the number of bytes read."""
        size = os.fstat(self._file).st_size
        drop_cache(self._file)
        contents: dict[str, bytes] = {}
        whole: dict[str, int] = {}
        parts: set[str] = set()
        end = 0
        for number, member in enumerate(iter_members(self._file, size, name=self._name)):
            if (number < len(_OWN)) != (member.name in _OWN) or (number < len(_OWN) and member.name != _OWN[number]):
                raise BundleError(f"{self._name} is not a volume of a bundle: {member.name} is not where it should be")
            if number < len(_OWN):
                contents[member.name] = self._read_content(member)
                if number == len(_OWN) - 1:
                    wanted = self._read_own(contents)
            elif member.is_part:
                parts.add(member.name)
                yield from self._check_blob(member, self.document.parts.get(member.name, ""))
            else:
                if member.digest in wanted:
                    whole[member.digest] = member.size_bytes
                yield from self._check_blob(member, member.digest)
            if not has_padding(self._file, member):
                self._add(f"the padding after {member.name} is damaged", member)
            end = member.end
        if len(contents) < len(_OWN):
            raise BundleError(f"{self._name} is not a volume of a bundle: {_OWN[len(contents)]} is missing")
        if size != end + len(END) or read_exactly(self._file, end, len(END)) != END:
            self.problems.append(Problem("the end is damaged", offset=end))
        self._check_references(wanted, whole, parts)

    def _read_content(self, member: Member) -> bytes:
        if member.size_bytes > _CONTENT_LIMIT:
            raise BundleError(f"{self._name} is not a volume of a bundle: {member.name} is too large")
        return read_exactly(self._file, member.data_offset, member.size_bytes)

    def _read_own(self, contents: dict[str, bytes]) -> dict[str, int]:
        """Check the volume's own members; return its images' manifests by size."""
        self.document = decode_volume_document(contents[VOLUME_MEMBER], name=f"{VOLUME_MEMBER} in {self._name}")
        if contents[LAYOUT_MEMBER] != LAYOUT_CONTENT:
            self.problems.append(Problem(f"{LAYOUT_MEMBER} is damaged"))
        if compute_digest(contents[INDEX_MEMBER]) != self.document.index_digest:
            self.problems.append(Problem(f"{INDEX_MEMBER} does not match its digest in {VOLUME_MEMBER}"))
            return {}
        wanted, self.images = decode_index(contents[INDEX_MEMBER], name=f"{INDEX_MEMBER} in {self._name}")
        return wanted

    def _check_blob(self, member: Member, digest: str) -> Iterator[int]:
        if not digest:
            self._add(f"{member.name} is not in {VOLUME_MEMBER}", member)
            return
        hasher = hashlib.new(digest.partition(":")[0])
        for chunk in read_range(self._file, member.data_offset, member.size_bytes):
            hasher.update(chunk)
            yield len(chunk)
        if f"{hasher.name}:{hasher.hexdigest()}" != digest:
            self._add(f"{member.name} does not match its digest", member)

    def _check_references(self, wanted: dict[str, int], whole: dict[str, int], parts: set[str]) -> None:
        for name in sorted(self.document.parts.keys() - parts):
            self.problems.append(Problem(f"{name} is missing"))
        for digest, size in wanted.items():
            if whole.get(digest) != size:
                self.problems.append(Problem(f"{INDEX_MEMBER} names a manifest that the volume does not hold, {digest}", digest))

    def _add(self, message: str, member: Member) -> None:
        if len(self.problems) < _PROBLEMS_LIMIT:
            self.problems.append(Problem(message, member.digest, member.offset))
