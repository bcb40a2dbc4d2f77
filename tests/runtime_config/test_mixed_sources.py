"""Where images of two sources are in one place, a node may take one for the other."""

from __future__ import annotations

import pytest

from imgsync.config.model import Config, Destination, Mirror, RegistriesConfig, Source
from imgsync.runtime_config.model import RuntimeOptions
from imgsync.runtime_config.runtimes import build_runtime_config


def make_mirror(name: str, registry: str, *, template: str = "{path}", namespace: str = "m", path: str = "") -> Mirror:
    source = Source(registry, namespaces=(path,))
    return Mirror(name, source, (Destination("m.example", namespace, template),), immutable=("*",), file="mirrors.d/a.yaml", line=3)


def list_warnings(runtime: str, *mirrors: Mirror) -> list[str]:
    built = build_runtime_config(runtime, Config(mirrors, RegistriesConfig()), RuntimeOptions())
    assert built.errors == ()
    return [warning.message for warning in built.warnings]


@pytest.mark.row("NODE-04")
@pytest.mark.parametrize("runtime", ["containerd", "podman"])
def test_place_with_images_of_two_sources_is_a_warning(runtime: str):
    """Both mirrors are named, once each."""
    warnings = list_warnings(runtime, make_mirror("hub", "docker.io"), make_mirror("quay", "quay.io"))

    assert len(warnings) == 2
    assert "all images below docker.io at m.example/m, where quay (mirrors.d/a.yaml:3) puts quay.io: one could be" in warnings[1]


@pytest.mark.parametrize("runtime", ["containerd", "podman"])
def test_places_of_their_own_are_no_warning(runtime: str):
    """So are namespaces of one registry in one place, with their own paths."""
    own = [make_mirror("hub", "docker.io", template="{registry}/{path}"), make_mirror("quay", "quay.io", template="{registry}/{path}")]

    assert list_warnings(runtime, *own) == []
    assert list_warnings(runtime, make_mirror("a", "docker.io", path="library"), make_mirror("b", "docker.io", path="grafana")) == []


def test_place_within_another_is_a_warning():
    """Podman looks below a namespace, where another source's may be."""
    warnings = list_warnings(
        "podman", make_mirror("outer", "docker.io", path="a", template="{relative}"), make_mirror("inner", "quay.io", path="b", namespace="m/n")
    )

    assert len(warnings) == 1
    assert "all images below docker.io/a at m.example/m, where inner" in warnings[0]
