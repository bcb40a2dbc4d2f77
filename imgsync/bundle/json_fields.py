"""Read the fields of JSON objects, each of one kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imgsync.errors import ImgsyncError
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import LAYOUT_PREFIX, Reference, Repository, is_layout, is_repository_path, is_tag, parse_registry

_TEXT_LIMIT = 1024
# As in Go, whose tools read the same sizes.
_NUMBER_LIMIT = (1 << 63) - 1


class Fields:
    """The fields of one object; each method raises ValueError for another kind."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Read *document*."""
        self._document = document

    def __contains__(self, name: str) -> bool:
        """Return whether there is a field *name*."""
        return name in self._document

    def refuse_others(self, *names: str) -> None:
        """Refuse fields that are not among *names*."""
        for name in self._document:
            if name not in names:
                raise ValueError(f"it has an unknown field {name[:40]!a}")

    def list_objects(self, name: str, *names: str) -> Iterator[Fields]:
        """Yield each object in a list; *names* are all its fields."""
        for entry in self._list(name):
            if not isinstance(entry, dict):
                raise ValueError(f"`{name}` has an entry that is not an object")  # noqa: TRY004 - of the text, not of an argument
            fields = Fields(entry)
            if names:
                fields.refuse_others(*names)
            yield fields

    def nested(self, name: str) -> Fields:
        """Return the fields of an object."""
        found = self._get(name)
        if not isinstance(found, dict):
            raise ValueError(f"`{name}` is not an object")  # noqa: TRY004 - of the text, not of an argument
        return Fields(found)

    def text(self, name: str) -> str:
        """Return printable ASCII text of at most 1024 characters."""
        return self._check_text(self._get(name), name)

    def optional_text(self, name: str) -> str:
        """Return text; "" for null."""
        found = self._get(name)
        return "" if found is None else self._check_text(found, name)

    def number(self, name: str) -> int:
        """Return a whole number from 0."""
        found = self._get(name)
        # True is an int as well.
        if type(found) is not int or not 0 <= found <= _NUMBER_LIMIT:
            raise ValueError(f"`{name}` is not a size or number")
        return found

    def digest(self, name: str) -> str:
        """Return a digest."""
        return self._check_digest(self._get(name), name)

    def optional_digest(self, name: str) -> str:
        """Return a digest; "" for null."""
        found = self._get(name)
        return "" if found is None else self._check_digest(found, name)

    def digests(self, name: str) -> tuple[str, ...]:
        """Return a list of digests."""
        return tuple(self._check_digest(entry, name) for entry in self._list(name))

    def paths(self, name: str) -> tuple[str, ...]:
        """Return a list of repository paths."""
        found = tuple(self._check_text(entry, name) for entry in self._list(name))
        for path in found:
            if not is_repository_path(path):
                raise ValueError(f"`{name}` has {path[:80]!a}, which is not a repository path")
        return found

    def repositories(self, name: str) -> tuple[Repository, ...]:
        """Return a list of repositories with their registries."""
        found: list[Repository] = []
        for entry in self._list(name):
            registry, _, path = self._check_text(entry, name).partition("/")
            if not _is_registry(registry) or not is_repository_path(path):
                raise ValueError(f"`{name}` has {entry[:80]!a}, which is not a repository with its registry")
            found.append(Repository(registry, path))
        return tuple(found)

    def reference(self, name: str) -> Reference:
        """Return the full name of an image, with tag or digest."""
        text = self.text(name)
        head, _, digest = text.partition("@")
        repository, _, tag = head.rpartition(":")
        if "/" in tag or not repository:
            repository, tag = head, ""
        registry, _, path = repository.partition("/")
        reference = Reference(Repository(registry, path), tag, digest)
        parts = (_is_registry(registry), is_repository_path(path), is_tag(tag) or (not tag and bool(digest)), is_digest(digest) or not digest)
        if not all(parts) or str(reference) != text:
            raise ValueError(f"`{name}` is {text[:80]!a}, which is not the full name of an image")
        return reference

    def _get(self, name: str) -> Any:
        try:
            return self._document[name]
        except KeyError:
            raise ValueError(f"`{name}` is missing") from None

    def _list(self, name: str) -> list[Any]:
        found = self._get(name)
        if not isinstance(found, list):
            raise ValueError(f"`{name}` is not a list")  # noqa: TRY004 - of the text, not of an argument
        return found

    @staticmethod
    def _check_text(found: object, name: str) -> str:
        if not isinstance(found, str) or not found or len(found) > _TEXT_LIMIT or not (found.isascii() and found.isprintable()):
            raise ValueError(f"`{name}` is not a text of printable ASCII")
        return found

    @staticmethod
    def _check_digest(found: object, name: str) -> str:
        if not isinstance(found, str) or not is_digest(found):
            raise ValueError(f"`{name}` is not a sha256 or sha512 digest")
        return found


def _is_registry(name: str) -> bool:
    """Return whether *name* is a registry, or a layout of `registries.yaml`."""
    if is_layout(name):
        return is_repository_path(name.removeprefix(LAYOUT_PREFIX))
    try:
        return parse_registry(name) == name
    except ImgsyncError:
        return False
