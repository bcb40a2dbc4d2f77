"""Build the configuration of `imgsync bundle load`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace

from imgsync.bundle.model import Bundle, BundleImage
from imgsync.bundle.source_index import SourceIndex
from imgsync.config.allowlist import explain_allowed, is_allowed
from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.config.templates import expand_repository
from imgsync.errors import UsageError
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import Repository, is_pin
from imgsync.oci.spec.referrers import is_referrers_tag
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_count

_NAME = "bundle"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a source path becomes one at the destination."""

    above: str
    target: str
    template: str


@dataclass(frozen=True, slots=True)
class _Key:
    """
    What the images of one mirror have in common.

    `above` is the namespace at the source that {relative} leaves out. `fixed` is the image, if path or tag at the destination are not templates.
    """

    mirror: str
    registry: str
    above: str
    destination: Destination
    fixed: str


@dataclass(slots=True)
class _Group:
    """Images that one mirror can select: their names by repository path."""

    names: dict[str, set[str]] = field(default_factory=dict)


def build_bundle_config(index: SourceIndex, registries: RegistriesConfig, *, file: str) -> Config:
    """
    Build mirrors that copy each image of a bundle.

    Each image goes to the destination that the bundle names. The mirrors have the names of those that it was made from; one whose images no single template
    names is divided. *file* is the path of the document.

    Raises:
        ConfigError: A variable in the settings of a destination is not set.
        UsageError: `allow` forbids a source or a destination, or an image has no tag.
    """
    bundle = index.document
    _check_images(bundle, index, registries)
    groups: dict[_Key, _Group] = {}
    for image in bundle.images:
        key, path, name = _find_group(image, index)
        groups.setdefault(key, _Group()).names.setdefault(path, set()).add(name)
    taken: set[str] = set()
    wanted = {key.mirror for key in groups}
    mirrors: list[Mirror] = []
    within: dict[str, Mapping[str, Collection[str]]] = {}
    for key, group in groups.items():
        mirror = _make_mirror(_choose_name(key.mirror, taken, wanted), key, group, file)
        mirrors.append(mirror)
        within[mirror.name] = {path: frozenset(name.partition("@")[0] for name in names) for path, names in group.names.items()}
    registries.raise_if_unset(*(destination.registry for mirror in mirrors for destination in mirror.destinations))
    return Config(tuple(mirrors), registries, is_complete=False, within=within)


def narrow_config(config: Config, index: SourceIndex) -> Config:
    """
    Return *config* with what the bundle has, which deletes nothing.

    Raises:
        ConfigError: A variable in the settings of a destination is not set.
        UsageError: The bundle has no image of any source.
    """
    mirrors = tuple(replace(mirror, prune=None) for mirror in config.mirrors if mirror.source.registry in index.repositories)
    if not mirrors:
        sources = ", ".join(sorted(index.repositories)[:_SHOWN])
        raise UsageError("the bundle has no image of the sources of these mirrors", hint=f"its images are from {sources}; without PATH, all of them are loaded")
    config.registries.raise_if_unset(*(destination.registry for mirror in mirrors if not mirror.suspend for destination in mirror.destinations))
    within = {mirror.name: _list_names(index, mirror.source.registry) for mirror in mirrors}
    return replace(config, mirrors=mirrors, is_complete=False, others=(), within=within)


def keep_tags(config: Config) -> Config:
    """Return *config* with every tag immutable, for an older bundle."""
    return replace(config, mirrors=tuple(replace(mirror, immutable=(*mirror.immutable, "*")) for mirror in config.mirrors))


def _list_names(index: SourceIndex, registry: str) -> Mapping[str, Collection[str]]:
    """Return the names of the images of *registry*, by path."""
    found: dict[str, set[str]] = {}
    for image in index.document.images:
        source = index.rename(image.source.repository)
        if source.registry == registry:
            found.setdefault(source.path, set()).add(image.source.tag or image.digest)
    return found


def _check_images(bundle: Bundle, index: SourceIndex, registries: RegistriesConfig) -> None:
    for image in bundle.images:
        if not image.destination.tag:
            raise UsageError(f"the bundle gives {image.source} no tag at its destination", hint="name mirrors that have one: imgsync bundle load DIR PATH")
    for side, prefixes in (("source", registries.allowed_sources), ("destination", registries.allowed_destinations)):
        paths = dict.fromkeys(str(index.rename(getattr(image, side).repository)) for image in bundle.images)
        refused = [path for path in paths if not is_allowed(prefixes, path)]
        if refused:
            more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
            what = f"{', '.join(refused[:_SHOWN])}{more}"
            raise UsageError(
                f"{format_count(len(refused), f'{side} repository', f'{side} repositories')} not allowed by registries.yaml: {what}",
                hint=explain_allowed(prefixes),
            )


def _find_group(image: BundleImage, index: SourceIndex) -> tuple[_Key, str, str]:
    """Return the mirror of *image*, its path and its name there."""
    source, target = index.rename(image.source.repository), index.rename(image.destination.repository)
    name = index.find_image_name(image)
    rule = _find_rule(source.path, target)
    has_same_tag = name.partition("@")[0] == image.destination.tag
    destination = Destination(target.registry, rule.target, rule.template, "{tag}" if has_same_tag else image.destination.tag)
    is_fixed = not has_same_tag or "{" not in rule.template
    return _Key(image.mirror or _NAME, source.registry, rule.above, destination, f"{source.path} {name}" if is_fixed else ""), source.path, name


def _find_rule(path: str, target: Repository) -> _Rule:
    """Return the most general rule by which *path* becomes *target*."""
    ours, theirs = path.split("/"), target.path.split("/")
    same = 0
    while same < min(len(ours), len(theirs)) and ours[-same - 1] == theirs[-same - 1]:
        same += 1
    if same == len(ours):
        return _Rule("", "/".join(theirs[:-same]), "{path}")
    if same:
        return _Rule("/".join(ours[:-same]), "/".join(theirs[:-same]), "{relative}")
    flat = expand_repository(Destination(target.registry, repository="{flat}"), path, relative=path, registry=target.registry)
    return _Rule("", "/".join(theirs[:-1]), "{flat}") if theirs[-1] == flat else _Rule("", "", target.path)


def _choose_name(wanted: str, taken: set[str], others: Iterable[str]) -> str:
    name, number = wanted, 1
    while name in taken or (name != wanted and name in others):
        number += 1
        name = f"{wanted}-{number}"
    taken.add(name)
    return name


def _make_mirror(name: str, key: _Key, group: _Group, file: str) -> Mirror:
    # A listing has neither digests nor what looks like a tag of referrers.
    exact = tuple(sorted({one for names in group.names.values() for one in names if is_pin(one) or is_referrers_tag(one)}))
    return Mirror(
        name=name,
        source=Source(key.registry, (key.above,)) if key.above else Source(key.registry, repositories=tuple(sorted(group.names))),
        destinations=(key.destination,),
        tags=TagFilter(names=exact, include=("*",) if exact else ()),
        file=file,
        line=1,
    )
