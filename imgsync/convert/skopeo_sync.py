"""
Convert a file of `skopeo sync --src yaml`.

skopeo gets the destination on its command line, so imgsync does too.
Sources: cmd/skopeo/sync.go and docs/skopeo-sync.1.md of skopeo.
"""

from __future__ import annotations

from typing import Any

from imgsync.config.model import Destination, Mirror, Source
from imgsync.convert.build_mirrors import derive_name
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.expressions import convert_names
from imgsync.convert.input_file import Node
from imgsync.convert.read_references import read_image, read_registry
from imgsync.convert.regexes import match_whole
from imgsync.convert.registry_settings import Login, RegistryCollector
from imgsync.convert.shared_remarks import COPIES_REFERRERS, LIMIT_PLATFORMS, NO_TOKEN, report_digest
from imgsync.convert.version_ranges import NO_VERSION, convert_masterminds
from imgsync.errors import InvalidReferenceError, UsageError
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import Reference, is_repository_path, is_tag, parse_registry

NAME = "skopeo-sync"
HAS_NAMED_ENTRIES = False
_IMAGE_KEYS = ("images", "images-by-tag-regex", "images-by-semver")
# RFC 6761: no host ever has a name in `.invalid`.
_PLACEHOLDER = "registry.invalid/mirror"
_KEYS = (*_IMAGE_KEYS, "credentials", "tls-verify", "cert-dir")


def is_format(value: Any) -> bool:
    """Return whether *value* is a file of `skopeo sync`."""
    return isinstance(value, dict) and any(isinstance(one, dict) and any(name in one for name in _IMAGE_KEYS) for one in value.values())


def convert(nodes: list[Node], options: ConvertOptions, registries: RegistryCollector) -> list[Mirror]:
    """
    Convert a file; report errors and remarks in the nodes.

    Raises:
        UsageError: The destination in *options* is invalid.
    """
    root = nodes[0]
    destination = _read_destination(options)
    if not options.destination:
        root.report_lost(
            f"the file does not contain the destination; the result has the placeholder {_PLACEHOLDER}",
            hint="replace it, or pass skopeo's destination with --destination REGISTRY/NAMESPACE (and --scoped)",
        )
    root.report_note("without --all, skopeo copies one platform; imgsync copies all", hint=LIMIT_PLATFORMS)
    root.report_note(COPIES_REFERRERS)
    return [mirror for name, entry in root.read_entries() for mirror in _RegistryReader(name, entry, registries, destination).read_mirrors()]


def _read_destination(options: ConvertOptions) -> Destination:
    host, _, namespace = (options.destination or _PLACEHOLDER).rstrip("/").partition("/")
    try:
        registry = parse_registry(host)
    except InvalidReferenceError as error:
        raise UsageError(f"--destination: {error.message}", hint=error.hint) from error
    if namespace and not is_repository_path(namespace):
        raise UsageError(f"--destination: invalid namespace {namespace!r}", hint="use lower-case words joined by '/'")
    return Destination(registry, namespace, "{registry}/{path}" if options.scoped else "{name}")


class _RegistryReader:
    """Reads one registry of the file."""

    def __init__(self, name: str, entry: Node, registries: RegistryCollector, destination: Destination) -> None:
        self._entry = entry
        self._registries = registries
        self._destination = destination
        # skopeo joins the key and the image name, so the key may include a namespace.
        self._prefix = name.rstrip("/")
        self._registry = read_registry(entry, name.partition("/")[0])

    def read_mirrors(self) -> list[Mirror]:
        """Return a mirror for each repository."""
        if not self._registry:
            return []
        self._entry.check_keys(_KEYS)
        self._read_settings()
        if not any(self._entry.get(name) is not None for name in _IMAGE_KEYS):
            self._entry.report_note("the registry has no images")
        if ":" in self._registry and "{registry}" in self._destination.repository:
            self._entry.report_note("the port is in the destination path, with '_' instead of ':'; skopeo makes an invalid name there")
        mirrors: list[Mirror] = []
        readers = {"images": self._read_list, "images-by-tag-regex": self._read_regex, "images-by-semver": self._read_range}
        for name, read in readers.items():
            block = self._entry.get(name)
            for path, node in block.read_entries() if block is not None else []:
                image = read_image(node, f"{self._prefix}/{path}")
                if image is not None:
                    mirrors += [self._build_mirror(image, node, tags) for tags in read(node)]
        return mirrors

    def _build_mirror(self, image: Reference, node: Node, tags: TagFilter) -> Mirror:
        path = image.repository.path
        source = Source(image.repository.registry, repositories=(path,))
        return Mirror(derive_name(path), source, (self._destination,), tags=tags, file=node.document.file, line=node.line)

    def _read_list(self, node: Node) -> list[TagFilter]:
        if not node.value:
            return [TagFilter()]
        names = []
        for item in node.read_items():
            text = item.read_text()
            if is_digest(text):
                report_digest(item)
            elif not is_tag(text):
                item.report_error("expected a tag or a digest")
            else:
                names.append(text)
        return [TagFilter(names=tuple(dict.fromkeys(names)))] if names else []

    def _read_regex(self, node: Node) -> list[TagFilter]:
        text = node.read_text()
        try:
            compile_expression(text)
        except ValueError as error:
            node.report_error(str(error))
            return []
        names = convert_names([text], node)
        return [TagFilter(regex=(match_whole(text),)) if names is None else TagFilter(names=names)]

    def _read_range(self, node: Node) -> list[TagFilter]:
        try:
            found = convert_masterminds(node.read_text())
        except ValueError as error:
            node.report_error(f"skopeo refuses this range: {error}")
            return []
        # A part of a range may select nothing.
        at_least = 1 if len(found) == 1 else 0
        return [TagFilter(semver=(one.text,), prereleases=one.prereleases, exclude=(NO_VERSION,), at_least=at_least) for one in found]

    def _read_settings(self) -> None:
        credentials = self._entry.get("credentials")
        if credentials is not None:
            credentials.check_keys(("username", "password", "identitytoken"))
            credentials.remark_keys({"identitytoken": NO_TOKEN})
            self._registries.add_login(credentials, self._registry, Login(credentials.value, namespace=self._prefix.partition("/")[2]))
        verify = self._entry.get("tls-verify")
        if verify is not None and self._entry.read_bool("tls-verify") is False:
            self._registries.disable_verification(verify, self._registry)
        folder = self._entry.get("cert-dir")
        if folder is not None:
            folder.report_lost("imgsync does not read a certificate directory", hint="set `tls: {ca: FILE, cert: FILE, key: FILE}` in registries.yaml")
