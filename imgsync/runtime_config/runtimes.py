"""The runtimes, and what is the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from imgsync.config.model import Config, Mirror
from imgsync.filters.tags import TagFilter
from imgsync.runtime_config.containerd import write_containerd
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions
from imgsync.runtime_config.podman import write_podman
from imgsync.runtime_config.routes import Route, trace_routes

Write = Callable[[Config, Sequence[Route], Findings, RuntimeOptions], RuntimeConfig]

RUNTIMES: Mapping[str, Write] = {"containerd": write_containerd, "podman": write_podman}


def build_runtime_config(runtime: str, config: Config, options: RuntimeOptions) -> RuntimeConfig:
    """Return what a node with *runtime* needs to use the mirrors."""
    findings = Findings()
    routes = trace_routes(config, findings)
    for mirror in {route.mirror.name: route.mirror for route in routes}.values():
        _warn_of_options(mirror, findings, options)
    return RUNTIMES[runtime](config, routes, findings, options)


def _warn_of_options(mirror: Mirror, findings: Findings, options: RuntimeOptions) -> None:
    if options.digest_only and mirror.platforms is not None:
        message = "an index with other platforms too gets a new digest, so the mirror does not have the one of the source"
        findings.add_warning(mirror, message, "leave out --digest-only, or `platforms`")
    if not options.has_fallback and _selects_part(mirror):
        findings.add_warning(
            mirror, "it selects some tags or repositories, and --no-fallback makes all others impossible to pull", "select all that nodes pull"
        )


def _selects_part(mirror: Mirror) -> bool:
    source, tags = mirror.source, mirror.tags
    unlimited = TagFilter(at_least=tags.at_least, at_most=tags.at_most)
    return tags != unlimited or bool(source.include or source.regex or source.exclude or source.exclude_regex)
