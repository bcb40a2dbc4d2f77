"""Give every registry of a mirror its one name."""

from __future__ import annotations

from dataclasses import replace

from imgsync.config.model import Mirror, RegistriesConfig


def name_registries(mirror: Mirror, registries: RegistriesConfig) -> Mirror:
    """
    Return *mirror* with the one name of each registry.

    Everything that is kept or compared by name depends on it: records, mounts, collisions, limits and credentials.
    """
    source = registries.find_name(mirror.source.registry)
    names = [registries.find_name(destination.registry) for destination in mirror.destinations]
    if source == mirror.source.registry and names == [destination.registry for destination in mirror.destinations]:
        return mirror
    destinations = tuple(replace(destination, registry=name) for destination, name in zip(mirror.destinations, names, strict=True))
    return replace(mirror, source=replace(mirror.source, registry=source), destinations=destinations)
