"""
Parse names of registries, repositories, tags and images.

Spec: distribution-spec 1.1 "Pulling manifests"; distribution/reference for Docker's short names.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from types import ModuleType

from imgsync.errors import InvalidReferenceError
from imgsync.oci.spec.digest import is_digest
from imgsync.system.dataclass import dataclass

# A layout stands where a registry's name does, and is none: a port has digits only.
LAYOUT_PREFIX = "oci-layout:"
_LAYOUT = re.compile(r"oci-layout:[a-z][a-z0-9-]{0,62}")
# A host may be called so.
_HOST_WITH_PORT = re.compile(r"oci-layout:[0-9]+")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
# Explicit classes and `fullmatch`: `\w` would match Unicode letters, and `$` matches before a newline.
REPOSITORY_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[([0-9a-f:.]+)\])(?P<port>:[0-9]{{1,5}})?")
_NAME_LIMIT = 255
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_DOCKER_HUB = "docker.io"
_DOCKER_HUB_HOSTS = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_HUB_SITE = "hub.docker.com"
_HTTPS_PORT = 443
_PORT_DIGITS = re.compile(r"[0-9]{4,5}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# What skopeo and Helm write before the name of an image in a registry; browsers write https.
_SAME_REGISTRY = {"docker", "oci", "https"}
# Images that are not in a registry, as skopeo, crane and regclient name them. `docker:24` is an image of Docker Hub.
_LOCAL = re.compile(r"(oci|oci-archive|oci-layout|ocidir|ocifile|dir|docker-archive|docker-daemon|containers-storage|ostree|sif|tarball):(?![0-9]{1,5}(?:/|$))")


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A registry and a path, such as `docker.io` and `library/nginx`."""

    registry: str
    path: str

    def __str__(self) -> str:
        """Return `registry/path`."""
        return f"{self.registry}/{self.path}"

    def with_tag(self, tag: str) -> Reference:
        """Return the reference of *tag* in this repository."""
        return Reference(self, tag=tag)

    def with_digest(self, digest: str) -> Reference:
        """Return the reference of *digest* in this repository."""
        return Reference(self, digest=digest)

    def with_name(self, name: str) -> Reference:
        """Return the reference of *name*: a tag, a digest, or TAG@DIGEST."""
        tag, _, digest = name.partition("@")
        return Reference(self, tag=tag, digest=digest) if digest or not is_digest(name) else self.with_digest(name)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A repository with a tag or digest; the digest has priority."""

    repository: Repository
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Return the digest, or the tag if there is none."""
        return self.digest or self.tag

    @property
    def tag_or_digest(self) -> str:
        """Return the tag, or else the digest."""
        return self.tag or self.digest

    def __str__(self) -> str:
        """Return `registry/path[:tag][@digest]`."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def is_tag(text: str) -> bool:
    """Return whether *text* is a valid tag."""
    return TAG.fullmatch(text) is not None


def is_layout(registry: str) -> bool:
    """Return whether the name of a registry is that of a layout."""
    return registry.startswith(LAYOUT_PREFIX) and _HOST_WITH_PORT.fullmatch(registry) is None


def is_layout_name(text: str) -> bool:
    """Return whether *text* is the name of a layout alone."""
    return _LAYOUT.fullmatch(text) is not None


def is_exact_name(text: str) -> bool:
    """Return whether *text* is a tag, a digest, or TAG@DIGEST."""
    tag, at, digest = text.partition("@")
    return is_digest(text) or (is_tag(tag) and (not at or is_digest(digest)))


def is_pin(name: str) -> bool:
    """Return whether the exact name *name* has a digest."""
    return ":" in name


def is_repository_path(text: str) -> bool:
    """Return whether *text* is a valid repository path."""
    return len(text) <= _NAME_LIMIT and REPOSITORY_PATH.fullmatch(text) is not None


def strip_transport(text: str) -> str:
    """
    Return *text*, an image or registry on a command line, without `docker://`.

    `oci://`, which Helm writes, and `https://` go too.

    Raises:
        InvalidReferenceError: It means plain http, or an image that is not in a registry.
    """
    found = _SCHEME.fullmatch(text)
    if found is not None and found[1].lower() in _SAME_REGISTRY:
        return _name_hub_page(found[2]) or found[2]
    refuse_scheme(text)
    return text


def refuse_scheme(text: str) -> None:
    """
    Refuse a URL, and an image that is not in a registry.

    A name has one spelling, and `http://` would ask for plain http.

    Raises:
        InvalidReferenceError: *text* begins with a scheme, or a transport of skopeo.
    """
    found = _SCHEME.fullmatch(text)
    if found is not None:
        _refuse_user(found[2].partition("/")[0])
    if _LAYOUT.fullmatch(text.partition("/")[0]):
        return
    local = _LOCAL.match(text) if found is None else None if found[1].lower() in {*_SAME_REGISTRY, "http"} else found
    if local is not None:
        raise _import_hints().make_local_error(local[1])
    if found is not None:
        name = _name_hub_page(found[2]) or found[2].rstrip("/")
        plain = "; for plain http, set `tls: false` for this registry in registries.yaml" if found[1].lower() == "http" else ""
        raise InvalidReferenceError(f"{text!r} is written as a URL", hint=f"write it without {found[1]}://: {name}{plain}")


def parse_registry(text: str) -> str:
    """
    Parse a registry name, `host[:port]` in lower case, or a layout's, `oci-layout:NAME`.

    The same registry has one name: without `:443`, the port of https, with the shortest spelling of an IPv6 address, and `docker.io` for
    Docker Hub's other host names.

    Raises:
        InvalidReferenceError: *text* has a scheme, a path, a user, upper case, an unusual spelling of an address, or invalid characters.
    """
    _refuse_user(text)
    refuse_scheme(text)
    if _LAYOUT.fullmatch(text):
        return text
    found = REGISTRY.fullmatch(text)
    port = int(text.rpartition(":")[2]) if re.search(r":[0-9]{1,5}$", text) else 0
    address = None if found is None or found[1] is None else _parse_ipv6(found[1])
    if found is None or len(text) > _NAME_LIMIT or port > 65535 or (found[1] is not None and address is None):
        raise InvalidReferenceError(f"{text!r} is not a registry name", hint=_import_hints().explain_registry(text))
    host = address or (text[: -len(found["port"])] if found["port"] else text)
    _check_ipv4(host)
    name = f"{host}:{port}" if found["port"] and port != _HTTPS_PORT else host
    if name == _HUB_SITE:
        raise InvalidReferenceError(f"{name} is the web site of Docker Hub, not its registry", hint=f"its registry is {_DOCKER_HUB}")
    return _DOCKER_HUB if name in _DOCKER_HUB_HOSTS else name


def parse_repository_path(text: str, *, registry: str = "") -> str:
    """
    Parse a repository path of *registry*.

    On Docker Hub `nginx` means `library/nginx`.

    Raises:
        InvalidReferenceError: *text* is not a valid path.
    """
    if registry == _DOCKER_HUB and "/" not in text:
        text = f"library/{text}"
    if is_repository_path(text):
        return text
    raise InvalidReferenceError(f"{text!r} is not a repository path", hint=_import_hints().explain_path(text))


def parse_repository(text: str) -> Repository:
    """
    Parse `HOST[:PORT]/PATH`; the registry is required.

    Raises:
        InvalidReferenceError: The registry is missing, or a part is invalid.
    """
    _refuse_url_of_repository(text)
    registry, slash, path = text.partition("/")
    if not slash and is_registry_alone(text):
        name = parse_registry(text)
        raise InvalidReferenceError(
            f"{text!r} names no repository", hint=f'write {name}/REPOSITORY, or `{{registry: {name}, namespaces: [""]}}` for all of its repositories'
        )
    if not slash or not is_registry_like(registry):
        whole = f"{_DOCKER_HUB}/{text if slash else 'library/' + text}"
        raise InvalidReferenceError(f"{text!r} has no registry", hint=_import_hints().explain_path(whole) if ":" in whole or "@" in whole else f"write {whole}")
    if registry == _HUB_SITE:
        raise InvalidReferenceError(f"{registry} is the web site of Docker Hub, not its registry", hint=f"write {_name_hub_page(text)}")
    name = parse_registry(registry)
    whole = f"{name}/library/{path}" if name == _DOCKER_HUB and "/" not in path else f"{name}/{path}"
    path = whole.removeprefix(f"{name}/")
    if not is_repository_path(path):
        raise InvalidReferenceError(f"{text!r} is not a repository", hint=_import_hints().explain_path(path, registry=name))
    return Repository(name, path)


def parse_reference(text: str) -> Reference:
    """
    Parse an image name as Docker does.

    `nginx:1.27` means `docker.io/library/nginx:1.27`. Tag and digest are empty if *text* has neither.

    Raises:
        InvalidReferenceError: A part is invalid.
    """
    refuse_scheme(text)
    name, _, digest = text.partition("@")
    if digest and not is_digest(digest):
        raise InvalidReferenceError(f"{digest[:100]!r} is not a digest", hint="write sha256: and 64 lower-case hex digits")
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon and not is_tag(tag):
        raise InvalidReferenceError(f"{tag!r} is not a tag", hint="tags are up to 128 letters, digits, '_', '.' and '-'")
    path = f"{head}{slash}{last}"
    if _IMAGE_ID.fullmatch(path):
        raise InvalidReferenceError(f"{path!r} is an image ID, not a name", hint=f"write it as a digest after the repository: NAME@sha256:{path}")
    if not is_registry_like(path.partition("/")[0]) or "/" not in path:
        path = f"{_DOCKER_HUB}/{path}"
    return Reference(parse_repository(path), tag=tag, digest=digest)


def split_reference(reference: str) -> tuple[str, str]:
    """
    Return the repository of a valid reference, and the rest.

    The rest is the tag or digest, or both, with the separator.
    """
    name, at, digest = reference.partition("@")
    start = name.find(":", name.rfind("/") + 1)
    return (name, f"{at}{digest}") if start < 0 else (name[:start], f"{name[start:]}{at}{digest}")


def _refuse_user(text: str) -> None:
    if "@" in text:
        raise InvalidReferenceError("a registry name must not contain a user or password", hint="credentials belong in registries.yaml")


def _refuse_url_of_repository(text: str) -> None:
    try:
        refuse_scheme(text)
    except InvalidReferenceError as error:
        found = _SCHEME.fullmatch(text)
        if found is not None and found[1].lower() in _SAME_REGISTRY and not _name_hub_page(found[2]):
            # What else is wrong is said at once, such as a tag.
            error.hint = _explain_rest(found[2].rstrip("/"), error.hint)
        raise


def _explain_rest(text: str, hint: str) -> str:
    """Return the hint about *text* itself, *hint* if there is none."""
    try:
        parse_repository(text)
    except InvalidReferenceError as error:
        return error.hint
    return hint


def _name_hub_page(text: str) -> str:
    """Return the repository whose page on Docker Hub has the address *text*."""
    host, _, path = text.partition("/")
    kind, _, name = path.strip("/").partition("/")
    repository = {"_": f"library/{name}", "r": "/".join(name.split("/")[:2])}.get(kind, path)
    return f"{_DOCKER_HUB}/{repository}".rstrip("/") if host == _HUB_SITE else ""


def _import_hints() -> ModuleType:
    # Most names are valid.
    from imgsync.oci.spec import reference_hints

    return reference_hints


def _parse_ipv6(text: str) -> str | None:
    """Return the shortest spelling of an address, None if it is none."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return f"[{address}]" if address.ipv4_mapped is None else str(address.ipv4_mapped)


def _check_ipv4(host: str) -> None:
    """Refuse `127.1` and `0x7f000001`: a rule for 127.0.0.1 would not match."""
    try:
        address = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return
    if address != host:
        raise InvalidReferenceError(f"{host!r} is an unusual spelling of the address {address}", hint=f"write {address}")


def is_registry_alone(text: str) -> bool:
    """
    Return whether *text*, without a path, is a registry, not an image.

    `postgres:16` is an image with its tag, `registry:5000` a host with its port.
    """
    host, _, port = text.partition(":") if not text.startswith("[") else (text, "", "")
    if is_layout_name(text):
        return True
    return "." in host or host == "localhost" or text.startswith("[") or _PORT_DIGITS.fullmatch(port) is not None or host != host.lower()


def is_registry_like(text: str) -> bool:
    """Return whether *text*, before an image's path, is a registry."""
    return "." in text or ":" in text or text == "localhost" or text != text.lower()
