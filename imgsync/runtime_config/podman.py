"""
Write a drop-in of registries.conf, for podman, skopeo, Buildah and CRI-O.

Spec: containers-registries.conf(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.config.model import Config, Mirror
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions, describe_mirrors
from imgsync.runtime_config.namespaces import Location, Namespace, check_blocked, find_namespaces
from imgsync.runtime_config.needs import find_access, list_needs
from imgsync.runtime_config.routes import Route
from imgsync.runtime_config.toml_text import quote_toml, write_comment

_FILE = "registries.conf.d/50-imgsync.conf"
_CA = "/etc/containers/certs.d/{registry}/ca.crt"
_LOGIN = "`podman login`, or auth.json"


def write_podman(config: Config, routes: Sequence[Route], findings: Findings, options: RuntimeOptions) -> RuntimeConfig:
    """Return a drop-in with a table for each namespace and repository."""
    namespaces = find_namespaces(routes, findings, runtime="podman")
    if not options.has_fallback:
        check_blocked(namespaces, findings)
    for route in routes:
        _warn_of_tags(route, findings, options)
    lines = [
        write_comment("Written by imgsync (runtime-config podman); put it into /etc/containers/registries.conf.d."),
        *(line for namespace in namespaces for line in _write_registry(namespace, config, options)),
    ]
    files = {_FILE: "".join(f"{line}\n" for line in lines)} if namespaces else {}
    destinations = (location.registry for namespace in namespaces for location in namespace.locations)
    return RuntimeConfig(files, findings.errors, findings.warnings, list_needs(destinations, config.registries, ca=_CA, login=_LOGIN))


def _write_registry(namespace: Namespace, config: Config, options: RuntimeOptions) -> Iterator[str]:
    yield ""
    yield "[[registry]]"
    yield f"prefix = {quote_toml(str(namespace.scope))}"
    yield f"location = {quote_toml(str(namespace.scope))}"
    if not options.has_fallback:
        # It blocks the location alone: mirrors are still asked.
        yield "blocked = true"
    elif find_access(namespace.scope.registry, config.registries).is_insecure:
        yield "insecure = true"
    for location in namespace.locations:
        yield from _write_mirror(location, config, options)


def _write_mirror(location: Location, config: Config, options: RuntimeOptions) -> Iterator[str]:
    yield ""
    yield write_comment(f"Mirrors: {describe_mirrors(location.mirrors)}")
    yield "[[registry.mirror]]"
    yield f"location = {quote_toml(str(location))}"
    if find_access(location.registry, config.registries).is_insecure:
        yield "insecure = true"
    if is_digest_only(location, options):
        yield 'pull-from-mirror = "digest-only"'


def is_digest_only(location: Location, options: RuntimeOptions) -> bool:
    """Return whether podman asks *location* only for digests."""
    return options.digest_only or (options.has_fallback and all(_can_move(mirror) for mirror in location.mirrors))


def _can_move(mirror: Mirror) -> bool:
    """Return whether tags of *mirror* may differ from the source's."""
    # A tag that moved at the source gives another image until the next run: image#1411. A new index has another digest, so only its tag finds it.
    return not mirror.immutable and mirror.platforms is None


def _warn_of_tags(route: Route, findings: Findings, options: RuntimeOptions) -> None:
    if options.has_fallback and not options.digest_only and _can_move(route.mirror):
        findings.add_warning(
            route.mirror,
            "podman asks the mirror for digests and the source for tags, because tags can move at the source",
            'to have tags from the mirror too, set `immutable: ["*"]` or use --no-fallback',
        )
