"""What each page finds when its commands run: files, registries and variables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from docs.stage.shell import Shell
from docs.stage.stage import ROOT, Stage

# The configurations of other tools, under the names that the pages use.
_OTHER_TOOLS = {
    "regsync.yml": """\
version: 1
sync:
  - source: registry.k8s.io/pause
    target: registry.example.com/mirror/pause
    type: repository
    tags: {allow: ["3.*"]}
""",
    "sync.yml": "registry.k8s.io: {images: {pause: ['3.9', '3.10']}}\n",
    "auth.yaml": "registry.example.com: {username: mirror, password: secret}\n",
    "images.yaml": "registry.k8s.io/pause:3.9,3.10: registry.example.com/mirror/pause\n",
    "rules.json": """\
[{"name": "pull", "enabled": true, "dest_namespace": "k8s", "filters": [{"type": "name", "value": "pause"}, {"type": "tag", "value": "3.*"}],
  "src_registry": {"name": "k8s", "type": "docker-registry", "url": "https://registry.k8s.io"},
  "dest_registry": {"id": 0, "name": "Local", "type": "harbor", "url": "http://core:8080"}}]
""",
    "dregsy.yaml": """\
relay: skopeo
tasks:
  - name: pause
    source: {registry: registry.k8s.io}
    target: {registry: registry.example.com}
    mappings: [{from: pause, to: mirror/pause, tags: ["3.9", "3.10"]}]
""",
}
_MIRRORS = """\
version: 1
mirrors:
  - name: kubernetes
    source:
      registry: registry.k8s.io
      repositories: [kube-proxy, pause]
    tags: {semver: ">=1", newest_per: minor, newest: 1, names: [latest]}
    destinations: [registry.example.com/mirror]
  - name: team-a-tools
    source: registry.k8s.io/ingress-nginx/controller
    destinations: [registry.example.com/mirror]
"""
_PICTURED = """\
version: 1
mirrors:
  - name: kubernetes
    source:
      registry: registry.k8s.io
      repositories: [kube-apiserver, coredns/coredns]
    tags: {semver: ">=1", newest_per: minor, newest: 1}
    destinations: [registry.example.com/mirror]
  - name: base-images
    source: docker.io/library/debian
    tags: {names: [trixie-slim, bookworm-slim]}
    destinations: [registry.example.com/mirror]
"""
_CI = {
    "GITHUB_REPOSITORY": "company/mirrors",
    "GITHUB_WORKFLOW_REF": "company/mirrors/.github/workflows/mirror.yml@refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_TOKEN": "none",
    "CI_API_V4_URL": "https://gitlab.example.com/api/v4",
    "CI_PROJECT_ID": "1",
    "CI_COMMIT_REF_NAME": "main",
    "CI_JOB_TOKEN": "none",
    "TRAVIS_REPO_SLUG": "company/mirrors",
    "TRAVIS_BRANCH": "main",
    "TRAVIS_API_TOKEN": "none",
}

_LOGINS = {
    f"{registry}_{part}": part.lower()
    for registry in ("REGISTRY_EXAMPLE_COM", "REGISTRY_K8S_IO", "HARBOR_EXAMPLE_COM", "HARBOR_INTERNAL", "REGISTRY_INTERNAL")
    for part in ("USERNAME", "PASSWORD")
}

# As `kubectl get pods -A -o json` prints them.
_PODS = """\
{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "namespace": "shop"}, "spec": {"containers": [
    {"name": "web", "image": "docker.io/library/nginx:1.27"},
    {"name": "proxy", "image": "quay.io/example/proxy"}]}},
  {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop"}, "spec": {"containers": [
    {"name": "web", "image": "docker.io/library/nginx:1.27"},
    {"name": "proxy", "image": "quay.io/example/proxy"}]}}]}
"""

Scene = Callable[[Shell], None]


def set_up(page: str, shell: Shell) -> None:
    """Prepare what the commands of a page need; *page* is its path in the repository."""
    _SCENES.get(page, _migrate if "migrate-from-" in page else _use_mirror_repository)(shell)


def prepare_picture(shell: Shell) -> None:
    """Have a mirror where some tags are new and one moved."""
    stage = shell.stage
    stage.registries |= {"registry.example.com"}
    stage.store("registry.k8s.io/kube-apiserver", "v1.33.5", "v1.34.0")
    stage.store("registry.k8s.io/coredns/coredns", "v1.11.4", "v1.12.0")
    stage.store("docker.io/library/debian", "trixie-slim", "bookworm-slim")
    stage.write("mirrors.d/kubernetes.yaml", _PICTURED)
    shell.run("imgsync apply")
    stage.store("registry.k8s.io/kube-apiserver", "v1.33.6", "v1.34.1")
    stage.store("docker.io/library/debian", "trixie-slim", version="a new build")


def _use_mirror_repository(shell: Shell) -> None:
    """Have a mirror repository in git, mirrored once, and the files of other tools."""
    _fill_registries(shell.stage)
    _add_files_of_other_tools(shell.stage, "")
    shell.stage.write("mirrors.d/kubernetes.yaml", _MIRRORS)
    shell.stage.write(".gitignore", "/home\n")
    for line in ("git init", "git add .", "git commit --message a", "git update-ref refs/remotes/origin/main HEAD", "imgsync apply"):
        shell.run(line)
    shell.variables.update(_CI | _LOGINS | {"MY_REGISTRY": "registry.internal"})


def _divide(shell: Shell) -> None:
    """Have declarations that nothing was mirrored for yet."""
    _fill_registries(shell.stage)
    shell.stage.write("mirrors.d/kubernetes.yaml", _MIRRORS)
    shell.variables.update(_LOGINS)


def _migrate(shell: Shell) -> None:
    """Have nothing but the files of other tools."""
    _fill_registries(shell.stage)
    _add_files_of_other_tools(shell.stage, "")
    shell.variables.update(_LOGINS)


def _read_me(shell: Shell) -> None:
    """Have the files of other tools in the folder that the reader makes."""
    _fill_registries(shell.stage)
    _fill_demo(shell.stage)
    # Google's registries list what is below a path as if it were a repository.
    shell.stage.store("registry.k8s.io/ingress-nginx", "none")
    _add_files_of_other_tools(shell.stage, "imgsync/infra-mirrors/")
    for arguments in ("init", "add .", "commit --message a", "update-ref refs/remotes/origin/main HEAD"):
        shell.run(f"git -C imgsync/infra-mirrors {arguments}")
    shell.variables.update(_CI)


def _follow_tutorial(shell: Shell) -> None:
    """Have the registries of `imgsync demo --serve`."""
    _fill_demo(shell.stage)


def _cross_air_gap(shell: Shell) -> None:
    """Have images outside and in the DMZ, a folder for each side, and a disk."""
    _fill_registries(shell.stage)
    shell.stage.store("quay.io/prometheus/prometheus", "v3.5.0")
    shell.stage.store("registry.dmz.example.com/outside/registry.k8s.io/pause", "3.10")
    shell.stage.registries |= {"registry.inside.example.com"}
    for folder in ("outside", "inside", "dmz", "internal", "media/usb", "media/usb2/first"):
        (shell.stage.folder / folder).mkdir(parents=True)
    shell.variables.update({"INSIDE_USER": "mirror", "INSIDE_PASSWORD": "secret"})


def _require_signatures(shell: Shell) -> None:
    """Have images without a signature, and a key."""
    shell.stage.store("quay.io/company/tools", "1.3.0", "1.4.0")
    shell.stage.registries |= {"registry.example.com"}
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    for folder in ("", "home/"):
        shell.stage.write(f"{folder}cosign.pub", pem)


def _prune(shell: Shell) -> None:
    """Have an old tag at the destination that no mirror selects."""
    _fill_registries(shell.stage)
    mirror = _MIRRORS.replace("registry.example.com/mirror", "registry.example.com/k8s")
    for names, prune in (("[latest, v1.28.1]", "false"), ("[latest]", "true")):
        shell.stage.write(
            "mirrors.d/kubernetes.yaml",
            mirror.replace("[latest]", names).replace("pause", "kube-proxy").replace("[kube-proxy, kube-proxy]", "[kube-proxy]") + f"    prune: {prune}\n",
        )
        if prune == "false":
            shell.run("imgsync apply")


def _use_chart(shell: Shell) -> None:
    """Have a chart, a cluster's pods, and registries with the images of both."""
    stage = shell.stage
    shutil.copytree(ROOT / "tests/discover/charts/certificates", stage.folder / "charts/certificates")
    stage.registries |= {"registry.example.com"}
    for name in ("acmesolver", "controller", "startupapicheck", "webhook"):
        stage.store(f"quay.io/example/certificates-{name}", "v1.18.2")
    stage.write("pods.json", _PODS)
    (stage.folder / "mirrors.d").mkdir()


def _lock(shell: Shell) -> None:
    """Have a mirror with a lock, whose tag moved since, and one without."""
    _use_mirror_repository(shell)
    shell.run("imgsync lock --only team-a-tools")
    shell.stage.store("registry.k8s.io/ingress-nginx/controller", "v1.13.3", version="a new build")


def _use_hooks(shell: Shell) -> None:
    """Have a mirror repository as `imgsync init` writes it."""
    shell.run("imgsync init")
    shell.stage.write("file.yaml", _MIRRORS)


def _fill_registries(stage: Stage) -> None:
    stage.registries |= {"registry.example.com", "registry.internal", "registry.internal:5000"}
    stage.store("registry.k8s.io/kube-proxy", "v1.28.1", "v1.33.4", "v1.33.5", "v1.34.1")
    stage.store("registry.k8s.io/pause", "3.9", "3.10")
    stage.store("registry.k8s.io/kube-proxy", "latest", version="v1.34.1")
    stage.store("registry.k8s.io/pause", "latest", version="3.10")
    stage.store("registry.k8s.io/ingress-nginx/controller", "v1.13.3")
    stage.store("docker.io/library/nginx", "1.27")


def _fill_demo(stage: Stage) -> None:
    stage.registries |= {"localhost:5000"}
    stage.store("localhost:5001/library/hello", "1.0.0", "1.1.0", "2.0.0")
    stage.store("localhost:5001/library/hello", "latest", version="1.1.0")


def _add_files_of_other_tools(stage: Stage, folder: str) -> None:
    for name, text in _OTHER_TOOLS.items():
        stage.write(f"{folder}{name}", text)


def _start_empty(_: Shell) -> None:
    """Have nothing."""


# Pages whose only command is `imgsync init` or the demo.
_OF_INIT = ("docs/index.md", *(f"docs/how-to/{page}.md" for page in ("github-actions", "gitlab-ci", "jenkins", "kubernetes-cronjob", "travis")))
_SCENES: Mapping[str, Scene] = {
    "docs/how-to/shards.md": _divide,
    "README.md": _read_me,
    "docs/tutorial.md": _follow_tutorial,
    "docs/how-to/service.md": _follow_tutorial,
    **dict.fromkeys(_OF_INIT, _start_empty),
    "docs/how-to/air-gap.md": _cross_air_gap,
    "docs/how-to/mirror-a-chart.md": _use_chart,
    "docs/how-to/pre-commit.md": _use_hooks,
    "docs/how-to/nodes.md": _start_empty,
    "docs/how-to/prune.md": _prune,
    "docs/how-to/pin-digests.md": _lock,
    "docs/how-to/require-signatures.md": _require_signatures,
}
