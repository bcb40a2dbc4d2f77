"""
What a layout holds, by repository: its tags and their content.

All blobs of a layout lie in one folder. A manifest or blob belongs to a repository if a manifest of that repository references it, so that
naming the digest of another repository's layer does not publish it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from imgsync.errors import ImgsyncError
from imgsync.oci.layout.index_json import IndexEntry, LayoutIndex, add_repositories
from imgsync.oci.layout.names import EntryName, find_name
from imgsync.oci.layout.pauses import with_pauses
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.manifest import Manifest
from imgsync.oci.spec.referrers import format_fallback_tag, is_fallback_index

# Each is a file to open.
_READ_AT_ONCE = 50
# Reads a manifest of the layout by digest and described type; None if there is none.
ReadManifest = Callable[[str, str], Manifest | None]


class RepositoryContents:
    """The tags of one repository, and what belongs to them."""

    def __init__(self) -> None:
        """Begin without tags."""
        # All entries of a tag, as tools wrote it in several forms. If they are of two digests, what it names is not known.
        self.tags: dict[str, list[IndexEntry]] = {}
        self.pinned: list[IndexEntry] = []
        # How many entries have a digest, and what they reference, as far as it was looked for.
        self.roots: Counter[str] = Counter()
        self.members: set[str] = set()
        self._unread: list[IndexEntry] = []
        self._reading = threading.Lock()

    def add(self, tag: str, entry: IndexEntry) -> None:
        """Add an entry; "" for no tag."""
        (self.tags.setdefault(tag, []) if tag else self.pinned).append(entry)
        self.roots[entry.digest] += 1
        self._unread.append(entry)

    def remove(self, tag: str) -> list[IndexEntry]:
        """
        Remove the tag, if it is there; return its entries.

        What they reference stays a member: it belonged to the repository.
        """
        removed = self.tags.pop(tag, [])
        for entry in removed:
            self.roots[entry.digest] -= 1
        return removed

    def has_root(self, digest: str) -> bool:
        """Return whether an entry has this digest."""
        return self.roots[digest] > 0

    def read_members(self, find: Callable[[list[IndexEntry]], set[str]]) -> None:
        """Add what the entries reference that *find* was not called with yet."""
        # *find* pauses. Other callers wait for its result, and entries may be added meanwhile.
        with self._reading:
            count = len(self._unread)
            if count:
                self.members |= find([entry for entry in self._unread if self.has_root(entry.digest)])
                del self._unread[:count]


class LayoutContents:
    """The contents of a layout, which change with its index."""

    def __init__(self, index: LayoutIndex, read: ReadManifest, *, own_repository: str, is_own_declared: bool, subjects: dict[str, str] | None = None) -> None:
        """
        Sort the entries of *index*.

        Args:
            index: The index.
            read: Reads a manifest; called when one is needed.
            own_repository: As for `find_name`.
            is_own_declared: As for `find_name`.
            subjects: The subjects of manifests that are known, "" for none; more are added.
        """
        self._others = index.others
        self._entries = dict.fromkeys(with_pauses(index.entries))
        self._read = read
        self._repositories: dict[str, RepositoryContents] = {}
        self._unnamed: dict[str, IndexEntry] = {}
        self._subjects: dict[str, dict[str, IndexEntry]] | None = None
        self._known_subjects = {} if subjects is None else subjects
        # Why entries were skipped.
        self.skipped: dict[str, None] = {}
        for entry in with_pauses(self._entries):
            name = find_name(entry, own_repository, is_own_declared=is_own_declared)
            if isinstance(name, str):
                self.skipped[name] = None
                if is_digest(entry.digest):
                    # Its digest still names it.
                    self._sort_in(EntryName(own_repository), entry)
            else:
                self._sort_in(name, entry)

    @property
    def index(self) -> LayoutIndex:
        """Return the index as it is to be written."""
        return LayoutIndex(tuple(self._entries), self._others)

    def iter_paths(self) -> Iterator[str]:
        """Yield the path of every repository that has a tag."""
        return (path for path, repository in self._repositories.items() if repository.tags)

    def get(self, path: str) -> RepositoryContents | None:
        """Return the repository at *path*, None if no entry names it."""
        return self._repositories.get(path)

    def find_tag(self, name: EntryName) -> list[IndexEntry]:
        """Return an entry for each digest that the tag names."""
        repository = self._repositories.get(name.path)
        return [] if repository is None else take_digests(repository.tags.get(name.tag, []))

    def put_tag(self, name: EntryName, entry: IndexEntry) -> None:
        """Let the tag name what *entry* points to."""
        self.remove_tag(name)
        self._entries[entry] = None
        self._sort_in(name, entry)

    def remove_tag(self, name: EntryName) -> None:
        """Remove the tag, if it is there."""
        repository = self._repositories.get(name.path)
        for entry in [] if repository is None else repository.remove(name.tag):
            self._entries.pop(entry, None)

    def put_unnamed(self, entry: IndexEntry, subject: str) -> None:
        """List *entry*, which refers to *subject*, without a name."""
        known = self._unnamed.get(entry.digest)
        if known is None or (known.repositories and not {*entry.repositories} <= {*known.repositories}):
            if known is not None:
                self._entries.pop(known, None)
                entry = add_repositories(known, entry.repositories)
            self._entries[entry] = None
            self._unnamed[entry.digest] = entry
            self._sort_in(EntryName(""), entry)
        if self._subjects is not None:
            self._subjects.setdefault(subject, {})[entry.digest] = self._unnamed[entry.digest]

    def remove_unnamed(self, digest: str) -> None:
        """Remove the entry without a name, if it is there."""
        entry = self._unnamed.pop(digest, None)
        if entry is not None:
            self._entries.pop(entry, None)
            self._subjects = None

    def list_unnamed_with_subject(self) -> dict[str, tuple[IndexEntry, str]]:
        """Return the entries without a name that have a subject, with it."""
        subjects = self._find_subjects()
        return {digest: (entry, subject) for subject, listed in subjects.items() for digest, entry in listed.items() if digest in self._unnamed}

    def learn(self, path: str, manifest: Manifest) -> None:
        """Note what *manifest*, which belongs to the repository, references."""
        repository = self._repositories.get(path)
        if repository is not None:
            repository.members.update(one.digest for one in (*manifest.children, *manifest.blobs))

    def has(self, path: str, digest: str) -> bool:
        """Return whether a manifest or blob belongs to the repository."""
        repository = self._repositories.get(path)
        if repository is None:
            return False
        if repository.has_root(digest) or digest in repository.members:
            return True
        repository.read_members(lambda unread: self._find_members(unread, is_listed=lambda one: not one.repositories))
        return digest in repository.members

    def find_members(self, roots: Iterable[IndexEntry]) -> set[str]:
        """Return the digests of all that *roots* reference, themselves and referrers included."""
        return self._find_members(roots, is_listed=lambda _: True)

    def _find_members(self, roots: Iterable[IndexEntry], *, is_listed: Callable[[IndexEntry], bool]) -> set[str]:
        """Return what *roots* reference, with referrers that *is_listed* chooses."""

        def list_referrers(digest: str) -> Iterator[IndexEntry]:
            listed = self._find_subjects().get(digest, {}).values()
            return (one for one in listed if one.digest in self._unnamed and is_listed(one))

        return find_referenced(roots, self._try_read, list_referrers)

    def list_referrers(self, path: str, digest: str) -> tuple[IndexEntry, ...]:
        """Return the entries that refer to *digest*, by subject or fallback tag."""
        repository = self._repositories.get(path)
        listed = self._find_subjects().get(digest, {})
        shared = {digest for digest in listed if digest in self._unnamed and not self._unnamed[digest].repositories}
        found = {one.digest: one for one in listed.values() if one.digest in shared or (repository is not None and repository.has_root(one.digest))}
        for entry in self.find_tag(EntryName(path, format_fallback_tag(digest))):
            index = self._read(entry.digest, entry.media_type)
            if index is not None and is_fallback_index(index, digest):
                self.learn(path, index)
                for child in index.children:
                    found.setdefault(child.digest, IndexEntry(b"", child.digest, child.media_type, child.size_bytes))
        if repository is not None:
            repository.members.update(found)
        return tuple(found.values())

    def _sort_in(self, name: EntryName, entry: IndexEntry) -> None:
        if not entry.containerd_name and not entry.ref_name:
            self._unnamed.setdefault(entry.digest, entry)
        for path in entry.repositories or ((name.path,) if name.path else ()):
            repository = self._repositories.get(path)
            if repository is None:
                repository = self._repositories[path] = RepositoryContents()
            repository.add(name.tag, entry)

    def _find_subjects(self) -> dict[str, dict[str, IndexEntry]]:
        """Return the entries that have a subject, by its digest and theirs."""
        while self._subjects is None:
            unread = {entry.digest: entry for entry in self._entries if entry.digest not in self._known_subjects}
            # Others may change the entries meanwhile.
            for entry in with_pauses(unread.values(), every=_READ_AT_ONCE):
                self._learn_subject(entry)
            if all(entry.digest in self._known_subjects for entry in self._entries):
                self._subjects = {}
                for entry in self._entries:
                    if subject := self._known_subjects[entry.digest]:
                        self._subjects.setdefault(subject, {})[entry.digest] = entry
        return self._subjects

    def _learn_subject(self, entry: IndexEntry) -> None:
        manifest = self._try_read(entry.digest, entry.media_type)
        self._known_subjects[entry.digest] = manifest.subject.digest if manifest is not None and manifest.subject is not None else ""

    def _try_read(self, digest: str, media_type: str) -> Manifest | None:
        try:
            return self._read(digest, media_type)
        except ImgsyncError:
            # Who needs it is told what is wrong with it.
            return None


def find_referenced(roots: Iterable[IndexEntry], read: ReadManifest, list_referrers: Callable[[str], Iterable[IndexEntry]]) -> set[str]:
    """Return the digests of *roots*, their referrers and all that these reference."""
    # Apart, since an artifact may carry as a layer what is a manifest elsewhere.
    manifests: set[str] = set()
    blobs: set[str] = set()
    waiting = [(entry.digest, entry.media_type) for entry in roots]
    for digest, media_type in with_pauses(_drain(waiting), every=_READ_AT_ONCE):
        if digest in manifests:
            continue
        manifests.add(digest)
        manifest = read(digest, media_type)
        if manifest is not None:
            blobs.update(blob.digest for blob in manifest.blobs)
            waiting += ((child.digest, child.media_type) for child in manifest.children)
        waiting += ((one.digest, one.media_type) for one in list_referrers(digest))
    return manifests | blobs


def _drain(waiting: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield what is in *waiting*, and what is added meanwhile."""
    while waiting:
        yield waiting.pop()


def take_digests(entries: Sequence[IndexEntry]) -> list[IndexEntry]:
    """Return the first of *entries* of each digest."""
    found: dict[str, IndexEntry] = {}
    for entry in entries:
        found.setdefault(entry.digest, entry)
    return [*found.values()]
