"""`imgsync copy`: one image or one repository as a configuration of a single mirror."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.config.model import Config, Destination, Mirror, Source, Trust
from imgsync.errors import UsageError
from imgsync.oci.manifest import parse_platform
from imgsync.oci.reference import Reference, parse_reference
from imgsync.tags import TagFilter

_NAME = "copy"


def copy_config(source: str, destination: str, *, trust: Trust, platforms: Sequence[str] = ()) -> Config:
    """
    Return a configuration whose one mirror copies *source* to *destination*.

    A source without tag and digest is its whole repository; a destination without a tag takes the source's.

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
        destinations=(Destination(target.repository.registry, repository=target.repository.path, tag=target.tag or "{tag}"),),
        tags=TagFilter(names=(wanted.tag,)) if wanted.tag else TagFilter(),
        platforms=tuple(platforms) or None,
    )
    return Config((mirror,), trust)


def _check(source: Reference, target: Reference) -> None:
    if source.digest:
        raise UsageError("a source by digest is not copied by this version", hint="name it by a tag")
    if target.digest:
        raise UsageError("a destination is named by a tag, not by a digest", hint=f"{target.repository}:TAG")
    if target.tag and not source.tag:
        raise UsageError("a whole repository cannot go to one tag", hint=f"name a tag of the source, or write {target.repository} alone")
