"""Build the configuration of `imgsync copy`: a single mirror."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.config.registry_names import name_registries
from imgsync.errors import UsageError
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.platform import parse_platform
from imgsync.oci.spec.reference import Reference, parse_reference

_NAME = "copy"


def build_copy_config(source: str, destination: str, *, registries: RegistriesConfig, platforms: Sequence[str] = ()) -> Config:
    """
    Build a configuration whose only mirror copies *source* to *destination*.

    A source without tag and digest means its whole repository. A destination without a tag takes the tag of the source.
    A source by digest selects that digest only; no file can declare this.

    Raises:
        InvalidReferenceError: *source* or *destination* is not a valid reference.
        UsageError: They do not fit together, or a platform is invalid.
    """
    origin, target = parse_reference(source), parse_reference(destination)
    _check(origin, target)
    for text in platforms:
        try:
            parse_platform(text)
        except ValueError as error:
            raise UsageError(str(error)) from error
    mirror = Mirror(
        name=_NAME,
        source=Source(origin.repository.registry, repositories=(origin.repository.path,)),
        destinations=(Destination(target.repository.registry, repository=target.repository.path, tag=target.tag or origin.tag or "{tag}"),),
        tags=TagFilter(names=(origin.name,)) if origin.name else TagFilter(),
        platforms=tuple(platforms) or None,
    )
    # Not complete: mirrors.d declares other mirrors.
    return Config((name_registries(mirror, registries),), registries, is_complete=False)


def _check(source: Reference, target: Reference) -> None:
    if source.digest and not (source.tag or target.tag):
        raise UsageError("a source by digest needs a destination with a tag", hint=f"write {target.repository}:TAG")
    if target.digest:
        raise UsageError("a destination cannot have a digest", hint=f"write {target.repository}:TAG")
    if target.tag and not source.name:
        raise UsageError("cannot copy a whole repository to one tag", hint=f"add a tag to the source, or write {target.repository}")
