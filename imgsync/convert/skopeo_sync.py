"""
The file that `skopeo sync --src yaml` reads: images by registry. Where they go is said on skopeo's command line, hence on ours.

Facts: cmd/skopeo/sync.go and docs/skopeo-sync.1.md of skopeo.
"""

from __future__ import annotations

from typing import Any

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.model import Conversion, Options
from imgsync.convert.patterns import whole_match
from imgsync.convert.ranges import masterminds
from imgsync.convert.reading import Piece
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.convert.shapes import REFERRERS_TRAVEL, digest_left_out, merged, mirror_name, named, read_image, read_registry
from imgsync.errors import InvalidReferenceError, UsageError
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Reference, is_repository_path, is_tag, parse_registry

NAME = "skopeo-sync"
_IMAGES = ("images", "images-by-tag-regex", "images-by-semver")
# No registry has such a name, now or ever (RFC 6761).
_NOWHERE = "registry.invalid/mirror"
_KNOWN = (*_IMAGES, "credentials", "tls-verify", "cert-dir")
_LOOSE = "skopeo also counts 2024.01 (a leading zero) as a version, imgsync does not"


def recognises(value: dict[str, Any]) -> bool:
    """Return whether a file of this form holds *value*."""
    return bool(value) and all(isinstance(one, dict) and any(name in one for name in _KNOWN) for one in value.values())


def convert(pieces: list[Piece], options: Options) -> Conversion:
    """
    Return what the file comes to; faults and remarks are noted on the way.

    Raises:
        UsageError: What is said of where to is no place.
    """
    root, registries = pieces[0], RegistryCollector()
    destination = _destination(options)
    if not options.destination:
        root.lost(
            f"the file does not say where to: {_NOWHERE} stands in its place",
            hint="write your registry there, or name it as skopeo's command line does: --destination REGISTRY/NAMESPACE (and --scoped)",
        )
    root.note("without --all skopeo copies one platform of an index; here all are copied", hint="`platforms: [linux/amd64]` keeps to one")
    root.note(REFERRERS_TRAVEL)
    mirrors = [mirror for name, entry in root.entries() for mirror in _Registry(name, entry, registries, destination).mirrors()]
    return Conversion(NAME, tuple(named(merged(mirrors))), registries.entries(), ())


def _destination(options: Options) -> Destination:
    host, _, namespace = (options.destination or _NOWHERE).rstrip("/").partition("/")
    try:
        registry = parse_registry(host)
    except InvalidReferenceError as error:
        raise UsageError(f"--destination: {error.message}", hint=error.hint) from error
    if namespace and not is_repository_path(namespace):
        raise UsageError(f"--destination: {namespace!r} is no namespace", hint="namespaces are lower-case words joined by '/'")
    return Destination(registry, namespace, "{registry}/{path}" if options.scoped else "{name}")


class _Registry:
    """One registry of the file."""

    def __init__(self, name: str, entry: Piece, registries: RegistryCollector, destination: Destination) -> None:
        self._entry = entry
        self._registries = registries
        self._destination = destination
        # A namespace may stand behind the host: skopeo puts the two together and reads the whole.
        self._prefix = name.rstrip("/")
        self._registry = read_registry(entry, name.partition("/")[0])

    def mirrors(self) -> list[Mirror]:
        """Return a mirror for each repository that is named."""
        if not self._registry:
            return []
        self._entry.knows(_KNOWN)
        self._read_registry_settings()
        if not any(self._entry.get(name) is not None for name in _IMAGES):
            self._entry.note("no images are named for this registry")
        if ":" in self._registry and "{registry}" in self._destination.repository:
            self._entry.note("the port becomes part of the path with '_' for ':', where skopeo makes no valid name of it")
        found: list[Mirror] = []
        readings = {"images": self._listed, "images-by-tag-regex": self._by_expression, "images-by-semver": self._by_version}
        for name, reading in readings.items():
            block = self._entry.get(name)
            for path, piece in block.entries() if block is not None else []:
                image = read_image(piece, f"{self._prefix}/{path}")
                tags = reading(piece, image) if image is not None else None
                if image is not None and tags is not None:
                    found.append(self._mirror(image, piece, tags))
        return found

    def _mirror(self, image: Reference, piece: Piece, tags: TagFilter) -> Mirror:
        path = image.repository.path
        source = Source(image.repository.registry, repositories=(path,))
        return Mirror(mirror_name(path), source, (self._destination,), tags=tags, file=piece.document.file, line=piece.line)

    def _listed(self, piece: Piece, image: Reference) -> TagFilter | None:
        if not piece.value:
            return TagFilter()
        names = []
        for item in piece.items():
            text = item.text()
            if is_digest(text):
                digest_left_out(item, image.repository.with_digest(text), self._target(image))
            elif not is_tag(text):
                item.fault("this is neither a tag nor a digest")
            else:
                names.append(text)
        return TagFilter(names=tuple(dict.fromkeys(names))) if names else None

    def _target(self, image: Reference) -> str:
        path = f"{image.repository}" if "{registry}" in self._destination.repository else image.repository.path.rpartition("/")[2]
        return "/".join(part for part in (self._destination.registry, self._destination.namespace, path) if part)

    def _by_expression(self, piece: Piece, image: Reference) -> TagFilter | None:  # noqa: ARG002 - the three ways are asked alike
        text = piece.text()
        try:
            compile_expression(text)
        except ValueError as error:
            piece.fault(str(error))
            return None
        return TagFilter(regex=(whole_match(text),))

    def _by_version(self, piece: Piece, image: Reference) -> TagFilter | None:  # noqa: ARG002 - the three ways are asked alike
        try:
            found = masterminds(piece.text())
        except ValueError as error:
            piece.fault(str(error))
            return None
        if found.names_prereleases:
            piece.lost("a pre-release counts as the release it leads to here, so that more of them are selected")
        piece.note(_LOOSE)
        return TagFilter(semver=(found.text,), prereleases=found.names_prereleases)

    def _read_registry_settings(self) -> None:
        credentials = self._entry.get("credentials")
        if credentials is not None:
            credentials.knows(("username", "password", "identitytoken"))
            credentials.tell({"identitytoken": (True, "registries.yaml holds a username and a password")})
            self._registries.login(credentials, self._registry, value=credentials.value)
        verify = self._entry.get("tls-verify")
        if verify is not None and self._entry.flag("tls-verify") is False:
            self._registries.insecure(verify, self._registry)
        folder = self._entry.get("cert-dir")
        if folder is not None:
            folder.lost("certificates are named one by one", hint="in registries.yaml: `tls: {ca: FILE, cert: FILE, key: FILE}`")
