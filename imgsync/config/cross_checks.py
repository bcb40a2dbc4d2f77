"""Check mirrors against each other and against `registries.yaml`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from imgsync.config.allowlist import explain_allowed, get_fixed_prefix, is_allowed
from imgsync.config.declared import DeclaredMirror
from imgsync.config.document import Path
from imgsync.config.layout_names import suggest_layout
from imgsync.config.model import Mirror, RegistriesConfig
from imgsync.config.requirements import suggest_signer
from imgsync.config.templates import expand_repository, expand_tag
from imgsync.errors import FileError, InvalidReferenceError
from imgsync.filters.tags import has_only_names
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import LAYOUT_PREFIX, Repository, is_layout


def check_allowlists(mirrors: Iterable[DeclaredMirror], registries: RegistriesConfig) -> Iterator[FileError]:
    """Yield an error for each source and destination that is not allowed."""
    for declared in mirrors:
        source, destinations = declared.mirror.source, declared.mirror.destinations
        for setting, paths in (("namespaces", source.namespaces), ("repositories", source.repositories)):
            for index, path in enumerate(paths):
                whole = f"{source.registry}/{path}".rstrip("/")
                yield from _check_allowed(declared, ("source", setting, index), whole, registries.allowed_sources)
        for index, destination in enumerate(destinations):
            yield from _check_allowed(declared, ("destinations", index), get_fixed_prefix(destination), registries.allowed_destinations)


def check_layouts(mirrors: Iterable[DeclaredMirror], registries: RegistriesConfig) -> Iterator[FileError]:
    """Yield an error for each layout that registries.yaml does not declare."""
    for declared in mirrors:
        places: list[tuple[Path, str]] = [(("source",), declared.mirror.source.registry)]
        places += ((("destinations", index), destination.registry) for index, destination in enumerate(declared.mirror.destinations))
        for setting, registry in places:
            name = registry.removeprefix(LAYOUT_PREFIX)
            if is_layout(registry) and name not in registries.layouts:
                yield declared.make_error(setting, f"registries.yaml has no layout named {name!r}", suggest_layout(name, registries))


def check_signers(mirrors: Iterable[DeclaredMirror], registries: RegistriesConfig) -> Iterator[FileError]:
    """Yield an error for each signer that registries.yaml does not define."""
    for declared in mirrors:
        for setting, what, known in (("keys", "key", registries.keys), ("identities", "identity", registries.identities)):
            for index, name in enumerate(getattr(declared.mirror.require, setting)):
                if name not in known:
                    message = f"registries.yaml has no {what} named {name!r}"
                    yield declared.make_error(("require", "signatures", setting, index), message, suggest_signer(name, known))


def check_pins(mirrors: Iterable[DeclaredMirror]) -> Iterator[FileError]:
    """Yield an error for each digest without a tag to push."""
    for declared in mirrors:
        for index, name in enumerate(declared.mirror.tags.names):
            if is_digest(name) and _needs_tag(declared.mirror):
                hint = f"write it after the tag to push: TAG@{name[:19]}…; or give each destination a `tag`"
                yield declared.make_error(("tags", "names", index), f"the digest {name} has no tag", hint)


def check_collisions(mirrors: Sequence[DeclaredMirror]) -> Iterator[FileError]:
    """
    Yield an error for each destination tag with two sources.

    Only mirrors that list tags by name are checked; the others need a plan.
    """
    writers: dict[str, tuple[str, DeclaredMirror]] = {}
    for declared in mirrors:
        mirror = declared.mirror
        if mirror.suspend or not has_only_names(mirror.tags) or (_needs_tag(mirror) and any(map(is_digest, mirror.tags.names))):
            continue
        for index in range(len(mirror.destinations)):
            try:
                for source, reference in _iter_named_references(mirror, index):
                    first, other = writers.setdefault(reference, (source, declared))
                    if first != source:
                        hint = f"the mirror '{other.mirror.name}' at {other.locate()} copies {first} there; change one destination"
                        yield declared.make_error(("destinations", index), f"{source} would be written to {reference}", hint)
            except InvalidReferenceError as error:
                yield declared.make_error(("destinations", index), error.message, error.hint)


def _check_allowed(declared: DeclaredMirror, setting: Path, path: str, prefixes: tuple[str, ...] | None) -> Iterator[FileError]:
    if not is_allowed(prefixes, path):
        yield declared.make_error(setting, f"{path} is not allowed by registries.yaml", explain_allowed(prefixes))


def _needs_tag(mirror: Mirror) -> bool:
    """Return whether a destination takes its tag from the source."""
    return any("{" in destination.tag for destination in mirror.destinations)


def _iter_named_references(mirror: Mirror, index: int) -> Iterator[tuple[str, str]]:
    destination = mirror.destinations[index]
    for path in mirror.source.repositories:
        target = f"{destination.registry}/{expand_repository(destination, path, relative=path, registry=mirror.source.registry)}"
        for name in mirror.tags.names:
            source = Repository(mirror.source.registry, path).with_name(name)
            yield str(source), f"{target}:{expand_tag(destination, source.tag_or_digest)}"
