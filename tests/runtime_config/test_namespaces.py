"""Prefixes of podman and OpenShift: what they match beyond the images below them."""

from __future__ import annotations

import pytest

from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.runtime_config.model import RuntimeConfig, RuntimeOptions
from imgsync.runtime_config.runtimes import build_runtime_config


def build(runtime: str, *, source: str, namespace: str, destination: str) -> RuntimeConfig:
    mirror = Mirror("a", Source(source, namespaces=(namespace,)), (Destination(destination, "m", "{path}"),), immutable=("*",), file="a.yaml", line=3)
    return build_runtime_config(runtime, Config((mirror,), RegistriesConfig()), RuntimeOptions())


@pytest.mark.parametrize("runtime", ["podman", "openshift"])
def test_whole_registry_beside_its_own_port_is_refused(runtime: str):
    """The prefix `r.example` matches `r.example:5000`, too, and the name that is made of it is invalid."""
    (error,) = build(runtime, source="r.example", namespace="", destination="r.example:5000").errors

    assert f"{'podman' if runtime == 'podman' else 'OpenShift'} also uses the settings of r.example for r.example:5000" in error.message
    assert "namespaces" in error.hint


@pytest.mark.parametrize(("source", "namespace", "destination"), [("r.example", "team", "r.example:5000"), ("r.example:5000", "", "r.example")])
def test_namespace_beside_another_port_is_written(source: str, namespace: str, destination: str):
    """Such a prefix matches only images of its own registry."""
    assert build("podman", source=source, namespace=namespace, destination=destination).errors == ()


@pytest.mark.parametrize("runtime", ["podman", "openshift"])
def test_destination_at_an_ipv6_address_is_refused(runtime: str):
    """Its name is invalid to podman: then nothing could be pulled, not even from the source."""
    (error,) = build(runtime, source="docker.io", namespace="", destination="[::1]:5000").errors

    assert "cannot pull from an IPv6 address" in error.message
