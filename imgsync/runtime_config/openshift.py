"""
Write ImageDigestMirrorSet and ImageTagMirrorSet of OpenShift.

Spec: config.openshift.io/v1. Both are needed: a name with a tag and a digest is a digest to one and a tag to the other (oc-mirror#1424).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imgsync.config.model import Config
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions, describe_mirrors
from imgsync.runtime_config.namespaces import Namespace, check_blocked, find_namespaces
from imgsync.runtime_config.needs import list_insecure, list_needs
from imgsync.runtime_config.routes import Route
from imgsync.runtime_config.yaml_text import write_yaml

_CA = "a ConfigMap, named in `additionalTrustedCA` of image.config.openshift.io/cluster, under the key {registry} with `..` for `:`"
_INSECURE = "`registrySources.insecureRegistries` of image.config.openshift.io/cluster"
_LOGIN = "the cluster's global pull secret"


def write_openshift(config: Config, routes: Sequence[Route], findings: Findings, options: RuntimeOptions) -> RuntimeConfig:
    """Return the mirror sets of all namespaces and repositories."""
    namespaces = find_namespaces(routes, findings, runtime="OpenShift")
    if not options.has_fallback:
        check_blocked(namespaces, findings)
    _check_addresses(namespaces, findings)
    policy = {} if options.has_fallback else {"mirrorSourcePolicy": "NeverContactSource"}
    entries = [{"source": str(one.scope), "mirrors": [str(location) for location in one.locations]} | policy for one in namespaces]
    documents = [_make_set("ImageDigestMirrorSet", "imageDigestMirrors", entries)]
    if not options.digest_only:
        documents.append(_make_set("ImageTagMirrorSet", "imageTagMirrors", entries))
    mirrors = (mirror for one in namespaces for location in one.locations for mirror in location.mirrors)
    comments = ("Written by imgsync (runtime-config openshift); apply it with `oc apply`. Nodes are updated one after the other.",)
    files = {"image-mirrors.yaml": write_yaml(documents, *comments, f"Mirrors: {describe_mirrors(mirrors)}")} if namespaces else {}
    return RuntimeConfig(files, findings.errors, findings.warnings, _list_needs(namespaces, config))


def _check_addresses(namespaces: Sequence[Namespace], findings: Findings) -> None:
    """Add an error for each IPv6 address: mirror sets cannot have one."""
    for one in namespaces:
        for location in one.locations:
            address = next((name for name in (one.scope.registry, location.registry) if name.startswith("[")), None)
            if address is not None:
                findings.add_error(location.mirrors[0], f"OpenShift's mirror sets cannot have the IPv6 address {address}", "give the registry a name")


def _make_set(kind: str, setting: str, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "config.openshift.io/v1", "kind": kind, "metadata": {"name": "imgsync"}, "spec": {setting: list(entries)}}


def _list_needs(namespaces: Sequence[Namespace], config: Config) -> tuple[str, ...]:
    destinations = list(dict.fromkeys(location.registry for one in namespaces for location in one.locations))
    return (*list_needs(destinations, config.registries, ca=_CA, login=_LOGIN), *list_insecure(destinations, config.registries, where=_INSECURE))
