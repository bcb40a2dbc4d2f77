"""Build the configuration of `imgsync copy`: a single mirror."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.config.allowlist import explain_allowed, is_allowed
from imgsync.config.layout_names import is_layout_path, require_layout
from imgsync.config.layout_paths import name_in_layout, parse_layout_destination, parse_layout_source, show_repository
from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.config.registry_names import name_registries
from imgsync.errors import UsageError
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.platform import check_platform
from imgsync.oci.spec.reference import Reference, Repository, is_layout_name, is_registry_alone, parse_reference, strip_transport

_NAME = "copy"
_PATHS = ("./", "../", "/", "~")


def build_copy_config(source: str, destination: str, *, registries: RegistriesConfig, platforms: Sequence[str] = ()) -> Config:
    """
    Build a configuration whose only mirror copies *source* to *destination*.

    A source without tag and digest means its whole repository. A destination without a tag takes the tag of the source.
    A source by digest selects that digest only; no file can declare this. An OCI layout is named as in registries.yaml, or by its path.

    Raises:
        ConfigError: A variable in the settings of one of the registries is not set.
        InvalidReferenceError: *source* or *destination* is not a valid reference.
        UsageError: They do not fit together, `allow` forbids one, a platform is invalid, or a layout is not there.
    """
    if is_layout_path(source):
        origin, registries = parse_layout_source(source, registries)
    else:
        origin = _parse(source)
    if is_layout_path(destination):
        target, registries = parse_layout_destination(destination, origin, registries)
    else:
        target = _parse(f"{destination}/{name_in_layout(origin.repository)}" if is_layout_name(destination) else destination)
    _check(origin, target, show_repository(destination, target.repository))
    for registry in (origin.repository.registry, target.repository.registry):
        require_layout(registry, registries)
    for text in platforms:
        try:
            check_platform(text)
        except ValueError as error:
            raise UsageError(str(error)) from error
    mirror = Mirror(
        name=_NAME,
        source=Source(origin.repository.registry, repositories=(origin.repository.path,)),
        destinations=(Destination(target.repository.registry, repository=target.repository.path, tag=target.tag or origin.tag or "{tag}"),),
        tags=TagFilter(names=(origin.name,)) if origin.name else TagFilter(),
        platforms=tuple(platforms) or None,
    )
    mirror = name_registries(mirror, registries)
    _check_allowed(source, Repository(mirror.source.registry, origin.repository.path), registries.allowed_sources)
    _check_allowed(destination, Repository(mirror.destinations[0].registry, target.repository.path), registries.allowed_destinations)
    registries.raise_if_unset(mirror.source.registry, mirror.destinations[0].registry)
    # Not complete: mirrors.d declares other mirrors.
    return Config((mirror,), registries, is_complete=False, is_by_hand=True)


def _parse(text: str) -> Reference:
    if text.startswith(_PATHS):
        raise UsageError(f"{text!r} is a path", hint=f"write oci-layout:{text} for an OCI layout, or for an archive of images")
    image = strip_transport(text)
    if "/" not in image.rstrip("/") and is_registry_alone(image.rstrip("/")):
        # Docker would read localhost:5000 as the tag 5000 of an image of Docker Hub.
        raise UsageError(f"{text!r} names no repository", hint=f"write {image.rstrip('/')}/REPOSITORY:TAG")
    return parse_reference(image)


def _check_allowed(text: str, repository: Repository, prefixes: tuple[str, ...] | None) -> None:
    if is_allowed(prefixes, str(repository)):
        return
    hint = f"{explain_allowed(prefixes)}, and --registries names another file"
    if is_layout_path(text):
        # The name of a path is made of a digest, which is hard to guess for `allow`.
        hint += "; a path is allowed by a name that `layouts` gives it: `layouts: {NAME: {path: PATH}}`, and oci-layout:NAME under `allow`"
    raise UsageError(f"{show_repository(text, repository)} is not allowed by registries.yaml", hint=hint)


def _check(source: Reference, target: Reference, shown: str) -> None:
    if source.digest and not (source.tag or target.tag):
        raise UsageError("a source by digest needs a destination with a tag", hint=f"write {shown}:TAG")
    if target.digest:
        raise UsageError("a destination cannot have a digest", hint=f"write {shown}:TAG")
    if target.tag and not source.name:
        raise UsageError("cannot copy a whole repository to one tag", hint=f"add a tag to the source, or write {shown}")
