"""Collect names, repositories and tags from the pages of a listing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from imgsync.errors import UnexpectedResponseError
from imgsync.listing.model import ListedRepository, ListedTag, ListedTags, RepositoryListing, TagListing
from imgsync.oci.errors import Operation
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag
from imgsync.text.sanitize import sanitize_message

_NAME_LIMIT = 1_000_000
# How many invalid names a warning shows, and how much of each.
_SHOWN = 3
_SHOWN_LENGTH = 80


class NameCollector:
    """Collects valid names and counts the invalid ones."""

    def __init__(self, operation: Operation, is_valid: Callable[[str], bool]) -> None:
        """Start empty; *operation* is the subject of errors."""
        self.operation = operation
        self.valid: dict[str, None] = {}
        self._is_valid = is_valid
        self._skipped = 0
        self._shown: list[str] = []

    def add(self, names: Iterable[object]) -> bool:
        """
        Add the names of one page; return whether any was new.

        Raises:
            UnexpectedResponseError: There are more than a million names.
        """
        before = len(self.valid)
        for name in names:
            if isinstance(name, str) and self._is_valid(name):
                self.valid[name] = None
            elif name is not None:
                self._skipped += 1
                if len(self._shown) < _SHOWN:
                    self._shown.append(sanitize_message(str(name)[:_SHOWN_LENGTH])[:_SHOWN_LENGTH])
        if len(self.valid) + self._skipped > _NAME_LIMIT:
            raise self.operation.make_error(UnexpectedResponseError, f"the listing has more than {_NAME_LIMIT:,} names")
        return len(self.valid) > before

    def make_warnings(self, expected: str) -> tuple[str, ...]:
        """Return a warning with the first three invalid names, if any."""
        if not self._skipped:
            return ()
        more = ", …" if self._skipped > _SHOWN else ""
        return (f"{self.operation.reference} lists {self._skipped} names that are not {expected}; skipped: {', '.join(self._shown)}{more}",)


class RepositoryCollector:
    """Collects repository paths from pages."""

    def __init__(self, operation: Operation) -> None:
        """Start empty; *operation* is the subject of errors."""
        self._names = NameCollector(operation, is_repository_path)

    def add(self, paths: Iterable[str]) -> None:
        """Add the paths of one page."""
        self._names.add(paths)

    def make_listing(self, kind: str) -> RepositoryListing:
        """Return all paths, sorted."""
        found = tuple(ListedRepository(path) for path in sorted(self._names.valid))
        return RepositoryListing(kind, found, self._names.make_warnings("repository paths"))


class TagCollector:
    """Collects tags from pages; of duplicates the first counts."""

    def __init__(self, operation: Operation) -> None:
        """Start empty; *operation* is the subject of errors."""
        self._names = NameCollector(operation, is_tag)
        self._invalid: set[str] = set()
        self._tags = ListedTags()

    def __len__(self) -> int:
        """Return how many names were added, valid or not."""
        return len(self._tags) + len(self._invalid)

    def add(self, tag: ListedTag) -> None:
        """Add a tag; an invalid digest counts as unknown."""
        is_new = self._names.add([tag.name])
        if tag.digest is not None and not is_digest(tag.digest):
            tag = ListedTag(tag.name, None, tag.size_bytes, tag.created_at, tag.media_type)
        if is_new:
            self._tags.add(tag)
        elif tag.name not in self._names.valid:
            self._invalid.add(tag.name)

    def make_listing(self, *, warnings: Iterable[str] = ()) -> TagListing:
        """Return all tags, sorted."""
        return TagListing(self._tags, warnings=(*self._names.make_warnings("tags"), *warnings))
