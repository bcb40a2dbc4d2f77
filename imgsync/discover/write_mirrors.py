"""
Write found images as `mirrors.d`, each with its origin.

The result always validates. What it cannot declare is left out, with the reason.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from imgsync.discover.model import FoundImage
from imgsync.errors import InvalidReferenceError, UsageError
from imgsync.oci.spec.reference import Reference, Repository, is_repository_path, parse_registry
from imgsync.system.dataclass import dataclass
from imgsync.text.sanitize import sanitize_line

_NAME_LIMIT = 63
# Characters kept free for "-NUMBER".
_SUFFIX_LENGTH = 7
_LATEST = "latest"
_DIGEST_HEX = 12
_ORIGINS = 3
_HEAD = """\
# yaml-language-server: $schema=../schema/mirror.schema.json
# Written by `imgsync discover`: each image, and where it is used.
version: 1
mirrors:
"""


@dataclass(frozen=True, slots=True)
class WrittenMirrors:
    """The text of a file of `mirrors.d`, and what it lacks."""

    text: str
    count: int
    left_out: tuple[tuple[Reference, str], ...]


@dataclass(frozen=True, slots=True)
class MirrorTarget:
    """A destination registry, and the namespace below which everything goes."""

    registry: str
    namespace: str

    @property
    def prefix(self) -> str:
        """Return `registry[/namespace]`."""
        return f"{self.registry}/{self.namespace}".rstrip("/")


def parse_target(text: str) -> MirrorTarget:
    """
    Parse REGISTRY[/NAMESPACE].

    Raises:
        UsageError: It is not one.
    """
    host, _, namespace = text.rstrip("/").partition("/")
    try:
        registry = parse_registry(host)
    except InvalidReferenceError as error:
        raise UsageError(f"--destination: {error.message}", hint=error.hint) from error
    if namespace and not is_repository_path(namespace):
        raise UsageError(f"--destination: invalid namespace {namespace!r}", hint="use lower-case words joined by '/'")
    return MirrorTarget(registry, namespace)


def write_mirrors(images: Iterable[FoundImage], target: MirrorTarget, *, taken_names: Collection[str] = ()) -> WrittenMirrors:
    """
    Return *images* as mirrors, one for each repository, below *target*.

    Images without a reference are not among them. The path of a destination has the source's registry, so that no two sources meet.
    No mirror gets one of *taken_names*.
    """
    origins: defaultdict[Reference, list[FoundImage]] = defaultdict(list)
    for image in images:
        if image.reference is not None:
            origins[image.reference].append(image)
    left_out: list[tuple[Reference, str]] = []
    repositories: defaultdict[Repository, list[Reference]] = defaultdict(list)
    for reference in sorted(origins):
        reason = _find_obstacle(reference, target)
        if reason:
            left_out.append((reference, reason))
        else:
            repositories[reference.repository].append(reference)
    writer = _Writer(target, origins, taken_names)
    text = "".join(writer.write(repository, references) for repository, references in repositories.items())
    return WrittenMirrors(_HEAD + text if text else "", len(repositories), tuple(left_out))


def _find_obstacle(reference: Reference, target: MirrorTarget) -> str:
    """Return why *reference* cannot be declared, "" if it can."""
    repository = reference.repository
    if f"{repository}/".startswith(f"{target.prefix}/"):
        return "it is at the destination already"
    if not is_repository_path(_join(target.namespace, _name_folder(repository.registry), repository.path)):
        return "the path at the destination would be too long"
    return ""


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)


def _name_folder(registry: str) -> str:
    """Return *registry* as a part of a path."""
    # Only the brackets and colons of an IPv6 address need more than `{registry}` of a destination does.
    return re.sub(r"[^a-z0-9]+", "-", registry).strip("-") if registry.startswith("[") else registry.replace(":", "_")


def _invent_tag(digest: str, taken: Collection[str]) -> str:
    """Return a tag for *digest*, none of *taken*."""
    base = f"digest-{digest.partition(':')[2][:_DIGEST_HEX]}"
    return next(tag for number in itertools.count(1) if (tag := base if number == 1 else f"{base}-{number}") not in taken)


class _Writer:
    """Writes mirrors, grouped by registry, with unique names."""

    def __init__(self, target: MirrorTarget, origins: dict[Reference, list[FoundImage]], taken_names: Collection[str]) -> None:
        self._target = target
        self._origins = origins
        self._names = set(taken_names)
        self._registry = ""

    def write(self, repository: Repository, references: Sequence[Reference]) -> str:
        """Return the mirror of one repository."""
        gap = "\n" if self._registry else ""
        heading = f"{gap}  # {repository.registry}\n" if repository.registry != self._registry else ""
        self._registry = repository.registry
        destination = _join(self._target.prefix, _name_folder(repository.registry))
        names = "".join(f"        - {json.dumps(name)}  # {self._describe(found)}\n" for name, found in self._name_tags(references))
        return (
            f"{heading}  - name: {self._choose_name(repository)}\n    source: {json.dumps(str(repository))}\n    tags:\n      names:\n{names}"
            f"    destinations:\n      - {json.dumps(destination)}\n"
        )

    def _choose_name(self, repository: Repository) -> str:
        text = f"{repository.registry}-{repository.path.removeprefix('library/')}"
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[: _NAME_LIMIT - _SUFFIX_LENGTH].rstrip("-._")
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names.add(name)
        return name

    def _name_tags(self, references: Sequence[Reference]) -> Iterator[tuple[str, list[FoundImage]]]:
        """
        Yield each exact name, and where it is used.

        A tag has one digest in a mirror. A further digest gets a tag of its own, so that it can be pulled by digest.
        """
        digests: dict[str, str] = {}
        taken = {reference.tag for reference in references}
        found: defaultdict[str, list[FoundImage]] = defaultdict(list)
        # Those with a digest first: a tag alone is then this one.
        for reference in sorted(references, key=lambda one: (not one.digest, one)):
            tag = reference.tag or ("" if reference.digest else _LATEST)
            if not tag or (reference.digest and digests.setdefault(tag, reference.digest) != reference.digest):
                tag = _invent_tag(reference.digest, taken)
                taken.add(tag)
                digests[tag] = reference.digest
            digest = digests.get(tag, "")
            found[f"{tag}@{digest}" if digest else tag] += self._origins[reference]
        yield from sorted(found.items())

    def _describe(self, found: Sequence[FoundImage]) -> str:
        places = list(dict.fromkeys(f"{one.file}:{one.line}" if one.line else one.file for one in found))
        more = f" and {len(places) - _ORIGINS} more" if len(places) > _ORIGINS else ""
        return sanitize_line(", ".join(places[:_ORIGINS]) + more)
