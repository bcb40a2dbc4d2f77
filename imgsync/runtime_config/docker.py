"""
Write daemon.json of Docker: mirrors of Docker Hub, without a path.

Spec: dockerd, `registry-mirrors`. Docker always asks Docker Hub in the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from imgsync.config.model import Config
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions
from imgsync.runtime_config.needs import find_access, list_needs
from imgsync.runtime_config.registry_prefix import find_registry_prefixes
from imgsync.runtime_config.routes import Route

_DOCKER_HUB = "docker.io"
_CA = "/etc/docker/certs.d/{registry}/ca.crt"
_LOGIN = "Docker sends a mirror no login: the mirror must allow reading without one"


def write_docker(config: Config, routes: Sequence[Route], findings: Findings, _: RuntimeOptions) -> RuntimeConfig:
    """Return a daemon.json with the mirrors of Docker Hub."""
    for route in routes:
        if route.scope.registry != _DOCKER_HUB:
            message = f"Docker has mirrors only for {_DOCKER_HUB}, not for {route.scope.registry}"
            findings.add_error(route.mirror, message, "let Docker use containerd's images and `runtime-config containerd`, or name the mirror's images")
    of_hub = [route for route in routes if route.scope.registry == _DOCKER_HUB]
    hosts = [host for one in find_registry_prefixes(of_hub, findings, runtime="Docker", allows_path=False) for host in one.hosts]
    accesses = [find_access(host.registry, config.registries) for host in hosts]
    document = {"registry-mirrors": [access.url for access in accesses]}
    unverified = [access.url.removeprefix("https://") for access in accesses if access.is_unverified]
    if unverified:
        document["insecure-registries"] = unverified
    files = {"daemon.json": f"{json.dumps(document, indent=2)}\n"} if hosts else {}
    destinations = [host.registry for host in hosts]
    return RuntimeConfig(files, findings.errors, findings.warnings, list_needs(destinations, config.registries, ca=_CA, login=_LOGIN))
