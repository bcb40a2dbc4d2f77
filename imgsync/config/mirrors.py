"""Build mirrors from valid documents of `mirrors.d`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgsync.config.declared import DeclaredMirror
from imgsync.config.document import Document, Path
from imgsync.config.mirror_checks import iter_mirror_entries
from imgsync.config.model import Concurrency, Destination, Mirror, Prune, Retry, Source, Timeouts
from imgsync.config.reference_checks import find_registry
from imgsync.config.requirements import parse_requirements
from imgsync.config.schedule import build_schedule
from imgsync.filters.tags import TagFilter
from imgsync.oci.spec.reference import parse_registry, parse_repository, parse_repository_path
from imgsync.text.units import parse_duration

_BLOCKS = ("tags", "require", "concurrency", "timeouts", "retry")


def build_mirrors(documents: Sequence[Document]) -> list[DeclaredMirror]:
    """Build every mirror in order, with the folder's defaults applied."""
    defaults: Mapping[str, Any] = next((document.value["defaults"] for document in documents if "defaults" in document.value), {})
    return [
        DeclaredMirror(_build_mirror(document, path, entry, defaults or {}), document, path)
        for document in documents
        for path, entry in iter_mirror_entries(document)
    ]


def _build_mirror(document: Document, path: Path, entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mirror:
    return Mirror(
        name=entry["name"],
        source=_build_source(entry["source"]),
        destinations=tuple(_build_destination(one) for one in entry["destinations"]),
        file=document.file,
        line=document.places[path][0],
        **_merge_settings(entry, defaults),
    )


def _build_source(entry: str | Mapping[str, Any]) -> Source:
    if isinstance(entry, str):
        found = parse_repository(entry)
        return Source(found.registry, repositories=(found.path,))
    registry = parse_registry(find_registry(entry))
    paths = (parse_repository_path(text, registry=registry) for text in entry.get("repositories") or ())
    lists = {name: tuple(entry.get(name) or ()) for name in ("namespaces", "include", "regex", "exclude", "exclude_regex")}
    return Source(registry, repositories=tuple(dict.fromkeys(paths)), **lists)


def _build_destination(entry: str | Mapping[str, Any]) -> Destination:
    if isinstance(entry, str):
        host, _, namespace = entry.partition("/")
        return Destination(parse_registry(host), namespace)
    return Destination(parse_registry(find_registry(entry)), entry.get("namespace", ""), entry.get("repository", "{path}"), entry.get("tag", "{tag}"))


def _merge_settings(entry: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **entry}
    for block in _BLOCKS:
        merged[block] = {**(defaults.get(block) or {}), **(entry.get(block) or {})}
    platforms = merged.get("platforms", "all")
    times = {name: parse_duration(text) for name, text in merged["timeouts"].items()}
    retry = dict(merged["retry"])
    if "interval" in retry:
        retry["interval_seconds"] = parse_duration(retry.pop("interval"))
    return {
        "description": merged.get("description", ""),
        "suspend": merged.get("suspend", False),
        "schedule": build_schedule(merged.get("schedule")),
        "tags": _build_tag_filter(merged["tags"]),
        "platforms": None if platforms == "all" else tuple(platforms),
        "referrers": _convert_referrers(merged.get("referrers", True)),
        "immutable": tuple(merged.get("immutable", ())),
        "prune": _convert_prune(merged.get("prune", False)),
        "require": parse_requirements(merged["require"]),
        "concurrency": Concurrency(**merged["concurrency"]),
        "timeouts": Timeouts(**{f"{name}_seconds": seconds for name, seconds in times.items()}),
        "retry": Retry(**retry),
    }


def _convert_referrers(value: bool | list[str]) -> tuple[str, ...] | bool:
    return value if isinstance(value, bool) else tuple(value) or False


def _convert_prune(value: bool | Mapping[str, Any]) -> Prune | None:
    if isinstance(value, bool):
        return Prune() if value else None
    return Prune(value.get("at_most", Prune().at_most), tuple(value.get("protect") or ()), gone=value.get("gone", False))


def _build_tag_filter(tags: Mapping[str, Any]) -> TagFilter:
    def as_tuple(name: str) -> tuple[str, ...]:
        value = tags.get(name)
        # An empty range selects any version.
        return (value,) if isinstance(value, str) else tuple(value or ())

    min_age = tags.get("min_age")
    if isinstance(min_age, str):
        min_age = {"age": min_age}
    return TagFilter(
        names=as_tuple("names"),
        include=as_tuple("include"),
        regex=as_tuple("regex"),
        semver=as_tuple("semver"),
        extract=as_tuple("extract"),
        exclude=as_tuple("exclude"),
        exclude_regex=as_tuple("exclude_regex"),
        prereleases=tags.get("prereleases", False),
        newest=tags.get("newest"),
        newest_per=tags.get("newest_per"),
        order=tags.get("order"),
        max_age_seconds=parse_duration(tags["max_age"]) if "max_age" in tags else None,
        min_age_seconds=parse_duration(min_age["age"]) if min_age else None,
        min_age_except=tuple(min_age.get("except") or ()) if min_age else (),
        at_least=tags.get("at_least", 1),
        at_most=tags.get("at_most"),
    )
