"""
Write documents for Talos: one prefix for each source registry.

Spec: Talos 1.12, RegistryMirrorConfig and RegistryTLSConfig.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imgsync.config.model import Config
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions, describe_mirrors
from imgsync.runtime_config.needs import find_access, list_needs
from imgsync.runtime_config.registry_prefix import HostPrefix, RegistryPrefixes, find_registry_prefixes
from imgsync.runtime_config.routes import Route
from imgsync.runtime_config.yaml_text import write_yaml

_CA = "`ca` of a RegistryTLSConfig named {registry}"
_LOGIN = "a RegistryAuthConfig"


def write_talos(config: Config, routes: Sequence[Route], findings: Findings, options: RuntimeOptions) -> RuntimeConfig:
    """Return a patch for the machine configuration."""
    prefixes = find_registry_prefixes(routes, findings, runtime="Talos")
    destinations = list(dict.fromkeys(host.registry for one in prefixes for host in one.hosts))
    documents = [_make_mirror(one, config, options) for one in prefixes] + _make_tls(destinations, config)
    mirrors = (mirror for one in prefixes for mirror in one.mirrors)
    comments = ("Written by imgsync (runtime-config talos); use it as a patch (talosctl patch machineconfig).", f"Mirrors: {describe_mirrors(mirrors)}")
    files = {"talos.yaml": write_yaml(documents, *comments)} if documents else {}
    return RuntimeConfig(files, findings.errors, findings.warnings, list_needs(destinations, config.registries, ca=_CA, login=_LOGIN))


def _make_mirror(prefixes: RegistryPrefixes, config: Config, options: RuntimeOptions) -> dict[str, Any]:
    endpoints = [_make_endpoint(host, config) for host in prefixes.hosts]
    document = {"apiVersion": "v1alpha1", "kind": "RegistryMirrorConfig", "name": prefixes.registry, "endpoints": endpoints}
    return document if options.has_fallback else document | {"skipFallback": True}


def _make_endpoint(host: HostPrefix, config: Config) -> dict[str, Any]:
    url = find_access(host.registry, config.registries).url
    # Talos adds /v2/ to every other path: talos#6577.
    return {"url": f"{url}/v2/{host.path}", "overridePath": True} if host.path else {"url": url}


def _make_tls(destinations: Sequence[str], config: Config) -> list[dict[str, Any]]:
    unchecked = [access for name in destinations if (access := find_access(name, config.registries)).is_unverified]
    return [
        {"apiVersion": "v1alpha1", "kind": "RegistryTLSConfig", "name": access.url.removeprefix("https://"), "insecureSkipVerify": True} for access in unchecked
    ]
