"""
Write registries.yaml of k3s and RKE2: rewrites for each source registry.

Spec: k3s, "Private Registry Configuration". One rewrite that matches is used, whichever comes first, so they exclude each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imgsync.config.model import Config
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions, describe_mirrors
from imgsync.runtime_config.needs import find_access, list_needs
from imgsync.runtime_config.path_rewrites import RegistryRewrites, find_registry_rewrites
from imgsync.runtime_config.routes import Route
from imgsync.runtime_config.yaml_text import write_yaml

_WRITTEN = "Written by imgsync (runtime-config k3s)"
_CA = "a path on the node, and name it in registries.yaml: configs.{registry}.tls.ca_file"
_LOGIN = "configs.HOST.auth of registries.yaml on the node"


def write_k3s(config: Config, routes: Sequence[Route], findings: Findings, options: RuntimeOptions) -> RuntimeConfig:
    """Return registries.yaml, and what turns off the fallback."""
    found = find_registry_rewrites(routes, findings, runtime="k3s")
    destinations = list(dict.fromkeys(host for one in found for host in one.hosts))
    document: dict[str, Any] = {"mirrors": {one.registry: _make_mirror(one, config) for one in found}}
    accesses = [find_access(name, config.registries) for name in destinations]
    unverified = {access.registry: {"tls": {"insecure_skip_verify": True}} for access in accesses if access.is_unverified}
    if unverified:
        document["configs"] = unverified
    mirrors = (mirror for one in found for mirror in one.mirrors)
    comments = (f"{_WRITTEN}; put it at /etc/rancher/k3s or /etc/rancher/rke2, and restart the service.", f"Mirrors: {describe_mirrors(mirrors)}")
    files = {"registries.yaml": write_yaml([document], *comments)} if found else {}
    if found and not options.has_fallback:
        text = write_yaml([{"disable-default-registry-endpoint": True}], f"{_WRITTEN}; put the folder beside registries.yaml.")
        files["config.yaml.d/imgsync.yaml"] = text
    return RuntimeConfig(files, findings.errors, findings.warnings, list_needs(destinations, config.registries, ca=_CA, login=_LOGIN))


def _make_mirror(found: RegistryRewrites, config: Config) -> dict[str, Any]:
    mirror: dict[str, Any] = {"endpoint": [find_access(host, config.registries).url for host in found.hosts]}
    if found.rewrites:
        mirror["rewrite"] = {rewrite.pattern: rewrite.replacement for rewrite in found.rewrites}
    return mirror
