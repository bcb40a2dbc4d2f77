"""Real pulls: Debian's containerd and skopeo find every image at the mirror."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from imgsync.config.load import load_config
from imgsync.config.model import Config, Mirror
from imgsync.oci.spec.reference import Reference, Repository
from imgsync.plan.destinations import find_reference
from imgsync.runtime_config.model import RuntimeConfig, RuntimeOptions
from imgsync.runtime_config.runtimes import build_runtime_config
from imgsync.runtime_config.write_files import write_files
from tests.support.images import Image, image, push
from tests.support.node import Internet, Node, running_containerd
from tests.support.registry_process import RegistryProcess

EXAMPLES = Path(__file__).parents[2] / "mirrors.d"
# What the examples do not have: a whole registry, namespaces, names that change with their namespace, tags that do not move.
FURTHER = """
version: 1
mirrors:
  - name: whole-registry
    source: {registry: ghcr.io, namespaces: [""]}
    destinations: [{registry: registry.example.com, namespace: all, repository: "{registry}/{path}"}]
    immutable: ["*"]
  - name: same-path
    source: {registry: registry.gitlab.com, namespaces: [group/project]}
    destinations: [registry.us.example.com]
    immutable: ["*"]
  - name: other-namespace
    source: {registry: quay.io, namespaces: [cilium], repositories: [metallb/speaker]}
    destinations: [{registry: registry.example.com, namespace: network, repository: "x-{relative}"}]
    immutable: ["*"]
  - name: relative
    source: {registry: public.ecr.aws, namespaces: [eks-distro/kubernetes]}
    destinations: [{registry: registry.example.com, namespace: eks, repository: "{relative}"}]
    immutable: ["*"]
  - name: renamed
    source: {registry: mcr.microsoft.com, repositories: [dotnet/runtime, dotnet/sdk]}
    destinations: [{registry: registry.example.com, namespace: ms, repository: "{flat}"}]
    immutable: ["*"]
"""
MIRRORS = ("registry.example.com", "registry.eu.example.com", "registry.us.example.com")


@dataclass(frozen=True)
class Cluster:
    """A node, the registry behind all mirrors, and the proxy between them."""

    node: Node
    registry: RegistryProcess
    internet: Internet
    folder: Path

    def push(self, reference: Reference) -> Image:
        """Push an image to where a mirror would have copied it."""
        content = image(str(reference), layers=1)
        return push(self.registry, reference.repository.path, reference.tag, content)

    def write(self, built: RuntimeConfig) -> Path:
        """Write the files of a runtime; return their folder."""
        assert built.errors == ()
        folder = self.folder / f"files-{len(list(self.folder.iterdir()))}"
        write_files(built.files, str(folder))
        return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, registry: RegistryProcess, authority: trustme.CA) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with running_containerd() as address, Internet(registry.port, MIRRORS, authority) as internet:
        yield Cluster(Node(folder, address, folder / "ca.pem", f"http://{internet}"), registry, internet, folder)


def read(folder: Path, text: str | None = None) -> Config:
    """Read the examples, or the declarations in *text*."""
    if text is None:
        return load_config([str(EXAMPLES)], registries=str(EXAMPLES.parent / "registries.example.yaml"), environ=os.environ)
    file = folder / "declared.yaml"
    file.write_text(text)
    (folder / "registries.yaml").write_text("version: 1\n")
    return load_config([str(file)], registries=str(folder / "registries.yaml"), environ={})


def find_expressible(config: Config, runtime: str, options: RuntimeOptions) -> Config:
    """Return *config* with the mirrors that *runtime* can express, as a user finds them with --only."""
    refused = {error.path for error in build_runtime_config(runtime, config, options).errors}
    return config.filter(lambda mirror: mirror.name not in refused)


def list_images(mirror: Mirror) -> Iterator[tuple[Repository, str]]:
    """Yield repositories of each declared namespace and name, with the path below the namespace."""
    for path in mirror.source.repositories:
        yield Repository(mirror.source.registry, path), path
    for namespace in mirror.source.namespaces:
        for below in ("one", "two/three-x"):
            yield Repository(mirror.source.registry, "/".join(part for part in (namespace, below) if part)), below


def list_pulls(config: Config) -> list[tuple[Repository, list[Reference]]]:
    """Return each source repository, and its image at each destination that keeps tags."""
    return [
        (source, [find_reference(one, source, relative, "1.2.3") for one in mirror.destinations if one.tag == "{tag}"])
        for mirror in config.mirrors
        for source, relative in list_images(mirror)
    ]


@pytest.mark.row("NODE-05")
@pytest.mark.parametrize("has_fallback", [True, False])
@pytest.mark.parametrize("text", [pytest.param(None, id="examples"), pytest.param(FURTHER, id="further")])
def test_containerd_pulls_all_from_the_mirror(cluster: Cluster, text: str | None, has_fallback: bool, tmp_path: Path):
    options = RuntimeOptions(has_fallback=has_fallback)
    config = find_expressible(read(tmp_path, text), "containerd", options)
    hosts = cluster.write(build_runtime_config("containerd", config, options)) / "certs.d"
    assert {mirror.name for mirror in config.mirrors} == ({"nginx-alpine", "monitoring"} if text is None else {"whole-registry", "same-path"})
    for source, references in list_pulls(config)[:: 1 if has_fallback else 3]:
        for place, reference in enumerate(references):
            content = cluster.push(reference)
            cluster.internet.asked.clear()
            cluster.internet.down = frozenset(one.repository.registry for one in references[:place])
            assert cluster.node.pull_with_containerd(f"{source}:1.2.3", hosts) == ""
            assert cluster.internet.upstream == []
            assert set(cluster.internet.asked) - cluster.internet.down == {reference.repository.registry}
            assert content.digest in {part.rpartition("/")[2] for part in get_paths(cluster, reference)}


@pytest.mark.row("NODE-05")
@pytest.mark.parametrize("has_fallback", [True, False])
@pytest.mark.parametrize("text", [pytest.param(None, id="examples"), pytest.param(FURTHER, id="further")])
def test_skopeo_pulls_all_from_the_mirror(cluster: Cluster, text: str | None, has_fallback: bool, tmp_path: Path):
    options = RuntimeOptions(has_fallback=has_fallback)
    config = find_expressible(read(tmp_path, text), "podman", options)
    registries = cluster.write(build_runtime_config("podman", config, options)) / "registries.conf.d" / "50-imgsync.conf"
    refused = {"kubernetes"} if text is None else {"other-namespace"}
    assert {mirror.name for mirror in read(tmp_path, text).mirrors} - {mirror.name for mirror in config.mirrors} == refused
    for mirror in config.mirrors:
        for source, references in list_pulls(config.filter(lambda one, mirror=mirror: one == mirror))[:: 1 if has_fallback else 3]:
            for place, reference in enumerate(references):
                content = cluster.push(reference)
                # Tags that can move come from the source, unless there is none.
                name = f"{source}@{content.digest}" if has_fallback and mirror.name == "monitoring" else f"{source}:1.2.3"
                cluster.internet.asked.clear()
                cluster.internet.down = frozenset(one.repository.registry for one in references[:place])
                assert cluster.node.pull_with_skopeo(name, registries) == ""
                assert cluster.internet.upstream == []
                assert set(cluster.internet.asked) - cluster.internet.down == {reference.repository.registry}


def get_paths(cluster: Cluster, reference: Reference) -> list[str]:
    """Return what the registry served below the repository of *reference*."""
    return [one.path for one in cluster.registry.requests(prefix=f"/v2/{reference.repository.path}/manifests/") if one.status == 200]


@pytest.mark.row("NODE-05")
def test_nothing_else_is_asked_without_fallback(cluster: Cluster, tmp_path: Path):
    """An image that the mirror does not have cannot be pulled, and no request goes to its source."""
    config = read(tmp_path, FURTHER).filter(lambda mirror: mirror.name in {"whole-registry", "same-path"})
    options = RuntimeOptions(has_fallback=False)
    cluster.internet.asked.clear()
    cluster.internet.down = frozenset()

    hosts = cluster.write(build_runtime_config("containerd", config, options)) / "certs.d"
    registries = cluster.write(build_runtime_config("podman", config, options)) / "registries.conf.d" / "50-imgsync.conf"

    for source in ("ghcr.io/absent/app:1", f"registry.gitlab.com/group/project/absent@sha256:{'0' * 64}"):
        assert cluster.node.pull_with_containerd(source, hosts) != ""
        assert cluster.node.pull_with_skopeo(source, registries) != ""
    assert cluster.internet.upstream == []
    assert set(cluster.internet.asked) == {"registry.example.com", "registry.us.example.com"}


def test_source_is_asked_for_what_the_mirror_lacks(cluster: Cluster, tmp_path: Path):
    """With fallback, and for tags with digest_only."""
    config = read(tmp_path, FURTHER).filter(lambda mirror: mirror.name == "whole-registry")
    for options, expected in ((RuntimeOptions(), ["registry.example.com", "ghcr.io"]), (RuntimeOptions(digest_only=True), ["ghcr.io"])):
        hosts = cluster.write(build_runtime_config("containerd", config, options)) / "certs.d"
        registries = cluster.write(build_runtime_config("podman", config, options)) / "registries.conf.d" / "50-imgsync.conf"
        for pull, files in ((cluster.node.pull_with_containerd, hosts), (cluster.node.pull_with_skopeo, registries)):
            cluster.internet.asked.clear()
            assert pull("ghcr.io/absent/app:1", files) != ""
            assert list(dict.fromkeys(cluster.internet.asked)) == expected
