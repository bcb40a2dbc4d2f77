"""Divide rates and connections among the workers of a fleet."""

from __future__ import annotations

from dataclasses import replace

from imgsync.config.model import Config, RegistriesConfig, RegistrySettings


def share_settings(config: Config, workers: int) -> RegistriesConfig:
    """Return the settings of one worker: a share of each limit."""
    settings = config.registries
    named = {mirror.source.registry for mirror in config.mirrors} | {one.registry for mirror in config.mirrors for one in mirror.destinations}
    hosts = settings.by_host.keys() | {settings.find_name(name) for name in named}
    return replace(settings, by_host={host: _share(settings.for_registry(host), workers) for host in sorted(hosts)})


def _share(settings: RegistrySettings, workers: int) -> RegistrySettings:
    # A worker without a connection could do nothing.
    return replace(settings, rate=settings.rate and _share_rate(*settings.rate, workers), connections=max(1, settings.connections // workers))


def _share_rate(requests: int, seconds: float, workers: int) -> tuple[int, float]:
    """Return a rate of which *workers* times fit into each window."""
    if requests >= workers:
        # A longer window instead would let all workers send at its beginning.
        return requests // workers, seconds
    # One request is the least. Then the rate holds on average, and at once each worker may send one.
    return 1, seconds * -(-workers // requests)
