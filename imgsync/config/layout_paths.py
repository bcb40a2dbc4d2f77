"""Name OCI layouts by their paths, on a command line."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from imgsync.config.layout_names import is_layout_path
from imgsync.config.model import LayoutSettings, RegistriesConfig
from imgsync.errors import InvalidReferenceError, UsageError
from imgsync.oci.layout.list_images import LayoutImage, list_images
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import LAYOUT_PREFIX, Reference, Repository, is_layout, is_repository_path, is_tag
from imgsync.text.sanitize import sanitize_message

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_NAME_LENGTH = 40
_NOT_IN_PATHS = re.compile(r"[^a-z0-9.-]+")
_SHOWN = 20
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
# `PATH`, `PATH:NAME`, `PATH@DIGEST`: a path has no colon, which divides.
_PARTS = re.compile(r"(?P<path>[./~][^:@]*(?:@(?!sha)[^:@]*)*)(?:@(?P<digest>.*)|:(?P<name>.*))?", re.DOTALL)
_FORMS = "write oci-layout:PATH:REPOSITORY:TAG, or oci-layout:PATH:TAG"


def add_layout(path: str, registries: RegistriesConfig) -> tuple[str, RegistriesConfig]:
    """
    Return the name of the layout at *path*, and settings with it.

    One that registries.yaml declares keeps its name.
    """
    try:
        place = Path(path).expanduser()
        whole = place.resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise UsageError(f"{path!r} is not a path: {error}", hint=_FORMS) from error
    for name, settings in registries.layouts.items():
        if Path(settings.path).expanduser().resolve() == whole:
            return name, registries
    words = _NOT_IN_NAMES.sub("-", whole.name.lower()).strip("-")[:_NAME_LENGTH]
    # Two folders of one name have two names, or the state would take one for the other.
    name = f"{words if words[:1].isalpha() else f'layout-{words}'.strip('-')}-{hashlib.sha256(str(whole).encode(errors='surrogateescape')).hexdigest()[:8]}"
    return name, replace(registries, layouts={**registries.layouts, name: LayoutSettings(str(place))})


def parse_layout_source(text: str, registries: RegistriesConfig) -> tuple[Reference, RegistriesConfig]:
    """
    Return what to copy of `oci-layout:PATH[:NAME]`, and settings that have the layout.

    Without a name, its only image is meant.

    Raises:
        UsageError: It has no such image, or several.
        LayoutError: It is damaged or hostile.
    """
    path, name, digest = _split(text)
    layout, registries = add_layout(path, registries)
    settings = registries.layouts[layout]
    registry = f"{LAYOUT_PREFIX}{layout}"
    try:
        images = list_images(settings.path, own_repository=settings.repository or layout, is_own_declared=settings.repository is not None)
    except OSError as error:
        raise UsageError(f"{settings.path} cannot be read: {error.strerror}", hint="name the folder of an OCI layout, or an archive of images") from error
    if "/" in name or ":" in name:
        return _parse_full(name, registry), registries
    if digest:
        found = [one for one in images if one.digest == digest]
    elif name:
        # One word is a tag, as for skopeo and regctl, or else a whole repository.
        found = [one for one in images if one.tag == name] or [LayoutImage(one.path, "", "") for one in images if one.path == name]
    else:
        found = [one for one in images if not one.is_referrer]
    if len({(one.path, one.tag or one.digest) for one in found}) != 1 and not (digest and found):
        raise _make_choice_error(settings.path, name or digest, found or images)
    one = found[0]
    return Reference(Repository(registry, one.path), tag="" if digest else one.tag, digest=digest or ("" if one.tag else one.digest)), registries


def parse_layout_destination(text: str, source: Reference, registries: RegistriesConfig) -> tuple[Reference, RegistriesConfig]:
    """
    Return where to copy for `oci-layout:PATH[:NAME]`, and settings that have the layout.

    Without a repository, it is the full name of *source*.

    Raises:
        InvalidReferenceError: The name is not valid.
    """
    path, name, digest = _split(text)
    if digest:
        raise UsageError("a destination cannot have a digest", hint=_FORMS)
    if path.endswith(_ARCHIVES) and not os.path.lexists(os.path.expanduser(path)):  # noqa: PTH111 - an unknown user is an error below
        folder = path.removesuffix(".gz").rpartition(".")[0]
        hint = f"write {LAYOUT_PREFIX}{folder}, and then pack it: tar -C {folder} -cf {folder}.tar ."
        raise UsageError("imgsync writes layouts into folders, not into archives", hint=hint)
    layout, registries = add_layout(path, registries)
    registry = f"{LAYOUT_PREFIX}{layout}"
    if "/" in name or ":" in name:
        return _parse_full(name, registry), registries
    if name and not is_tag(name):
        raise InvalidReferenceError(f"{name!r} is not a tag", hint=_FORMS)
    return Reference(Repository(registry, name_in_layout(source.repository)), tag=name), registries


def parse_layout_place(text: str, registries: RegistriesConfig) -> tuple[str, str, RegistriesConfig]:
    """
    Return the place that `oci-layout:PATH[:REPOSITORY]` names, and settings with it.

    The second text is how names below the layout begin as a user writes them.

    Raises:
        InvalidReferenceError: *text* names a tag or a digest.
    """
    path, name, digest = _split(text)
    if digest or ":" in name:
        raise InvalidReferenceError(f"{text!r} names one image", hint=f"`imgsync list {LAYOUT_PREFIX}{path}` shows all")
    layout, registries = add_layout(path, registries)
    return f"{LAYOUT_PREFIX}{layout}/{name}".rstrip("/"), f"{LAYOUT_PREFIX}{path}:", registries


def name_in_layout(source: Repository) -> str:
    """Return the path of *source* in a layout: its full name."""
    return source.path if is_layout(source.registry) else f"{_NOT_IN_PATHS.sub('_', source.registry)}/{source.path}"


def show_repository(text: str, repository: Repository) -> str:
    """Return how to write *repository*, which *text* on a command line means."""
    return f"{LAYOUT_PREFIX}{_split(text)[0]}:{repository.path}" if is_layout_path(text) else str(repository)


def _split(text: str) -> tuple[str, str, str]:
    found = _PARTS.fullmatch(text.removeprefix(LAYOUT_PREFIX))
    if found is None:
        raise InvalidReferenceError(f"{text!r} is not a layout", hint=_FORMS)
    return found["path"], found["name"] or "", found["digest"] or ""


def _parse_full(name: str, registry: str) -> Reference:
    rest, _, digest = name.partition("@")
    path, colon, tag = rest.partition(":")
    if not is_repository_path(path) or (colon and not is_tag(tag)) or (digest and not is_digest(digest)):
        raise InvalidReferenceError(f"{name!r} is not a repository and a tag", hint=f"{_FORMS}, such as outside/nginx:1.27")
    return Reference(Repository(registry, path), tag=tag, digest=digest)


def _make_choice_error(path: str, name: str, images: Iterable[LayoutImage]) -> UsageError:
    names = sorted({str(one) for one in images})
    shown = ", ".join(sanitize_message(one) for one in names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    what = f"no image {sanitize_message(name)!r}" if name else "more than one image" if names else "no image with a name"
    return UsageError(f"the layout {path} has {what}", hint=f"{_FORMS}; it has {shown}" if names else "check what wrote it")
