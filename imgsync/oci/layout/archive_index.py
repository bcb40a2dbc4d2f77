"""Find members of an archive by digest and by name."""

from __future__ import annotations

import re
from collections.abc import Iterable

from imgsync.oci.layout.archive_fault import ArchiveFaultError, show_name
from imgsync.oci.layout.blob_table import BlobTable, Place
from imgsync.oci.layout.files import LAYOUT
from imgsync.oci.layout.index_json import INDEX
from imgsync.oci.layout.tar_members import Member
from imgsync.oci.spec.digest import is_digest

# Members that are no blobs, and the bytes of all their names. An archive of `docker save` before Docker 25 has three for each layer.
FILE_LIMIT = 50_000
NAMES_LIMIT_BYTES = 8 << 20
DOCKER_MANIFEST = "manifest.json"
DOCKER_REPOSITORIES = "repositories"
_BLOB = re.compile(r"blobs/(?:sha256/([0-9a-f]{64})|sha512/([0-9a-f]{128}))")
_READ = frozenset({INDEX, LAYOUT, DOCKER_MANIFEST, DOCKER_REPOSITORIES})
_FOREIGN = "the archive may be hostile; ask who made it, or extract it and look at it"


class ArchiveIndex:
    """
    Where the regular members of an archive are.

    A link is the regular member of the same archive that it leads to.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        """
        Take *members* in.

        Raises:
            ArchiveFaultError: They are too many, two have one name, or a link leads elsewhere.
        """
        self._blobs = {"sha256": BlobTable(32), "sha512": BlobTable(64)}
        self._files: dict[str, tuple[str, Place]] = {}
        self._links: dict[str, tuple[str, str]] = {}
        self._name_bytes = 0
        for member in members:
            if member.kind == "file":
                self._add(member.name, Place(member.offset, member.size_bytes))
            elif member.kind != "folder":
                self._add_link(member)
        self._pack()
        for name, (kind, target) in self._links.items():
            self._resolve(name, kind, target)
        self._pack()

    def find_blob(self, digest: str) -> Place | None:
        """Return the place of a blob, None if it is missing."""
        algorithm, _, digits = digest.partition(":")
        return self._blobs[algorithm].find(digits) if is_digest(digest) else None

    def find_file(self, name: str) -> Place | None:
        """Return the place of a regular member, None if there is none."""
        blob = split_blob_name(name)
        if blob:
            return self.find_blob(blob)
        found = self._files.get(name.casefold())
        return found[1] if found is not None and found[0] == name else None

    def find_folder_of(self, name: str) -> str:
        """Return the folder, below the top, that has *name*; or ""."""
        return next((path.rpartition("/")[0] for path, _ in self._files.values() if path.endswith(f"/{name}")), "")

    def _add(self, name: str, place: Place) -> None:
        found = _BLOB.fullmatch(name)
        if found is not None:
            self._blobs["sha256" if found[1] else "sha512"].add(found[1] or found[2], place)
            return
        self._check_name(name)
        self._files[name.casefold()] = (name, place)

    def _add_link(self, member: Member) -> None:
        if member.name in self._links:
            raise _make_twice_fault(member.name)
        self._count(member.name + member.target, len(self._links))
        self._links[member.name] = (member.kind, member.target)

    def _check_name(self, name: str) -> None:
        folded = name.casefold()
        known = self._files.get(folded)
        if known is not None and known[0] == name:
            raise _make_twice_fault(name)
        usual = known[0] if known is not None else folded
        if usual != name and (known is not None or folded in _READ or _BLOB.fullmatch(folded)):
            raise ArchiveFaultError(f"the member {show_name(name)} differs from {show_name(usual)} only by upper and lower case", hint=_FOREIGN)
        self._count(name, len(self._files))

    def _count(self, names: str, count: int) -> None:
        self._name_bytes += len(names)
        if count >= FILE_LIMIT or self._name_bytes > NAMES_LIMIT_BYTES:
            limit = f"{FILE_LIMIT:,} members" if count >= FILE_LIMIT else f"{NAMES_LIMIT_BYTES >> 20} MiB of names of members"
            raise ArchiveFaultError(f"the archive has more than {limit} that are not blobs", hint="pack the files of the layout alone into a new archive")

    def _resolve(self, name: str, kind: str, target: str) -> None:
        path = _join("" if kind == "hard link" else name.rpartition("/")[0], target)
        place = self.find_file(path) if path and path not in self._links else None
        if place is None:
            raise ArchiveFaultError(
                f"the member {show_name(name)} is a link to {show_name(target)}, not to a regular file of the archive",
                hint="no other link is followed; ask who made the archive, or pack it again with the files in place of links",
            )
        self._add(name, place)

    def _pack(self) -> None:
        for algorithm, table in self._blobs.items():
            twice = table.pack()
            if twice:
                raise _make_twice_fault(f"blobs/{algorithm}/{twice}")


def split_blob_name(name: str) -> str:
    """Return the digest in the name of a blob, or ""."""
    found = _BLOB.fullmatch(name)
    return "" if found is None else f"sha256:{found[1]}" if found[1] else f"sha512:{found[2]}"


def _join(folder: str, target: str) -> str:
    """Return where a link in *folder* leads; "" is outside."""
    parts = folder.split("/") if folder else []
    if target.startswith("/"):
        return ""
    for part in target.split("/"):
        if part == ".." and not parts:
            return ""
        if part == "..":
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _make_twice_fault(name: str) -> ArchiveFaultError:
    return ArchiveFaultError(f"the member {show_name(name)} is there twice", hint="extract the archive, and pack the files of the layout into a new one")
