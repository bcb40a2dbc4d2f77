"""`imgsync copy`: one image or one repository as a configuration of a single mirror."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.errors import UsageError
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.manifest import parse_platform
from imgsync.oci.spec.reference import Reference, parse_reference

_NAME = "copy"


def copy_config(source: str, destination: str, *, registries: RegistriesConfig, platforms: Sequence[str] = ()) -> Config:
    """
    Return a configuration whose one mirror copies *source* to *destination*.

    A source without tag and digest is its whole repository; a destination without a tag takes the source's. A source by digest
    is a selection of just that name, which no file can declare.

    Raises:
        InvalidReferenceError: Either is no reference.
        UsageError: They do not fit together, or a platform is none.
    """
    wanted, target = parse_reference(source), parse_reference(destination)
    _check(wanted, target)
    for text in platforms:
        try:
            parse_platform(text)
        except ValueError as error:
            raise UsageError(str(error)) from error
    mirror = Mirror(
        name=_NAME,
        source=Source(wanted.repository.registry, repositories=(wanted.repository.path,)),
        destinations=(Destination(target.repository.registry, repository=target.repository.path, tag=target.tag or wanted.tag or "{tag}"),),
        tags=TagFilter(names=(wanted.name,)) if wanted.name else TagFilter(),
        platforms=tuple(platforms) or None,
    )
    # What mirrors.d declares is none of it.
    return Config((mirror,), registries, whole=False)


def _check(source: Reference, target: Reference) -> None:
    if source.digest and not (source.tag or target.tag):
        raise UsageError("a source by digest needs a tag to be copied to", hint=f"{target.repository}:TAG")
    if target.digest:
        raise UsageError("a destination is named by a tag, not by a digest", hint=f"{target.repository}:TAG")
    if target.tag and not source.name:
        raise UsageError("a whole repository cannot go to one tag", hint=f"name a tag of the source, or write {target.repository} alone")
