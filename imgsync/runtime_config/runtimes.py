"""The runtimes, and what is the same for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from imgsync.config.model import Config, Mirror
from imgsync.errors import UsageError
from imgsync.filters.tags import TagFilter
from imgsync.runtime_config.buildkit import write_buildkit
from imgsync.runtime_config.containerd import write_containerd
from imgsync.runtime_config.docker import write_docker
from imgsync.runtime_config.k3s import write_k3s
from imgsync.runtime_config.kyverno import write_kyverno
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions
from imgsync.runtime_config.openshift import write_openshift
from imgsync.runtime_config.podman import write_podman
from imgsync.runtime_config.routes import Route, trace_routes
from imgsync.runtime_config.talos import write_talos
from imgsync.system.dataclass import dataclass

Write = Callable[[Config, Sequence[Route], Findings, RuntimeOptions], RuntimeConfig]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What writes the files of a runtime, and its options."""

    write: Write
    has_digest_only: bool = True
    has_no_fallback: bool = True
    has_fallback: bool = True


RUNTIMES: Mapping[str, Runtime] = {
    "containerd": Runtime(write_containerd),
    "podman": Runtime(write_podman),
    "k3s": Runtime(write_k3s, has_digest_only=False),
    "talos": Runtime(write_talos, has_digest_only=False),
    "openshift": Runtime(write_openshift),
    "docker": Runtime(write_docker, has_digest_only=False, has_no_fallback=False),
    "buildkit": Runtime(write_buildkit, has_digest_only=False, has_no_fallback=False),
    "kyverno": Runtime(write_kyverno, has_fallback=False),
}


def check_options(runtime: str, options: RuntimeOptions) -> None:
    """
    Check that *runtime* can express *options*.

    Raises:
        UsageError: It cannot.
    """
    found = RUNTIMES[runtime]
    if options.digest_only and not found.has_digest_only:
        raise UsageError(f"{runtime} cannot ask a mirror only for digests", hint=f"leave out --digest-only, or use one of {_list_able('has_digest_only')}")
    if not options.has_fallback and not found.has_no_fallback:
        raise UsageError(
            f"{runtime} always asks the source if the mirror does not have an image",
            hint=f"leave out --no-fallback and block the source in the network, or use one of {_list_able('has_no_fallback')}",
        )


def _list_able(ability: str) -> str:
    return ", ".join(name for name, runtime in RUNTIMES.items() if getattr(runtime, ability))


def build_runtime_config(runtime: str, config: Config, options: RuntimeOptions) -> RuntimeConfig:
    """Return what a node with *runtime* needs to use the mirrors."""
    findings = Findings()
    options = replace(options, has_fallback=options.has_fallback and RUNTIMES[runtime].has_fallback)
    routes = trace_routes(config, findings)
    for mirror in {route.mirror.name: route.mirror for route in routes}.values():
        _warn_of_options(mirror, findings, options)
    return RUNTIMES[runtime].write(config, routes, findings, options)


def _warn_of_options(mirror: Mirror, findings: Findings, options: RuntimeOptions) -> None:
    if options.digest_only and mirror.platforms is not None:
        message = "an index with other platforms too gets a new digest, so the mirror does not have the one of the source"
        findings.add_warning(mirror, message, "leave out --digest-only, or `platforms`")
    if not options.has_fallback and _selects_part(mirror):
        message = "only some tags or repositories are selected, and without the source nodes cannot pull the others"
        findings.add_warning(mirror, message, "compare with what is used: imgsync discover PATH --covered-by mirrors.d")


def _selects_part(mirror: Mirror) -> bool:
    source, tags = mirror.source, mirror.tags
    unlimited = TagFilter(at_least=tags.at_least, at_most=tags.at_most)
    return tags != unlimited or bool(source.include or source.regex or source.exclude or source.exclude_regex)
