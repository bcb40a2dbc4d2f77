"""
What runtimes ask for, found from their files alone.

Each function reads the files as the runtime's documentation says, and shares nothing with the code that wrote them. It returns the images that the
runtime asks for, in order; `UPSTREAM` at the end where it may ask the source.
"""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import re2
import yaml

from tests.support.cel import evaluate

UPSTREAM = "upstream"
# From the CustomResourceDefinition of ImageDigestMirrorSet: a host, and a path.
_SOURCE = re.compile(r"(?:[a-zA-Z0-9][a-zA-Z0-9.-]*|localhost)(?::[0-9]+)?(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_HUB_HOSTS = {"registry-1.docker.io": "docker.io"}


def ask_as_containerd(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Read hosts.toml: containerd's docs/hosts.md."""
    text = files.get(f"certs.d/{registry}/hosts.toml")
    if text is None:
        return [UPSTREAM]
    document = tomllib.loads(text)
    server = {key: value for key, value in document.items() if key not in {"server", "host"}}
    assert set(document) <= {"server", "host", "capabilities", "override_path", "skip_verify"}
    needed = {"pull"} if "@" in name else {"pull", "resolve"}
    asked = []
    for url, settings in (*document.get("host", {}).items(), (document["server"], server)):
        assert set(settings) <= {"capabilities", "override_path", "skip_verify"}
        if needed <= set(settings.get("capabilities", ("pull", "resolve", "push"))):
            asked.append(_join_url(url, path, name, override=settings.get("override_path", False)))
    return [UPSTREAM if one == f"{registry}/{path}{name}" else one for one in asked]


def ask_as_podman(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Read registries.conf: containers-registries.conf(5)."""
    tables = [table for text in files.values() for table in tomllib.loads(text)["registry"]]
    assert len({table["prefix"] for table in tables}) == len(tables)
    image = f"{registry}/{path}"
    matching = [table for table in tables if _is_prefix(table["prefix"], image)]
    if not matching:
        return [UPSTREAM]
    table = max(matching, key=lambda one: len(one["prefix"]))
    assert set(table) <= {"prefix", "location", "blocked", "insecure", "mirror"}
    asked = []
    for mirror in table["mirror"]:
        assert set(mirror) <= {"location", "insecure", "pull-from-mirror"}
        if "@" in name or mirror.get("pull-from-mirror", "all") == "all":
            asked.append(f"{mirror['location']}{image.removeprefix(table['prefix'])}{name}")
    blocked = {one["prefix"] for one in tables if one.get("blocked")}
    assert not [one for one in asked if any(_is_prefix(prefix, one.partition("@")[0].rpartition(":")[0] or one) for prefix in blocked)]
    assert table["location"] == table["prefix"]
    return asked if table.get("blocked") else [*asked, UPSTREAM]


def _is_prefix(prefix: str, image: str) -> bool:
    return image == prefix or image.startswith(f"{prefix}/")


def _join_url(url: str, path: str, name: str, *, override: bool) -> str:
    """Return the image that a host is asked for, as containerd and Talos make its URL."""
    parts = urlsplit(url)
    base = parts.path.rstrip("/")
    if not override and not base.endswith("/v2"):
        base = f"{base}/v2"
    whole = f"{base}/{path}"
    assert whole.startswith("/v2/"), url
    return f"{_HUB_HOSTS.get(parts.netloc, parts.netloc)}/{whole.removeprefix('/v2/')}{name}"


def ask_as_k3s(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Read registries.yaml: k3s's "Private Registry Configuration", and how its containerd rewrites."""
    document = load_yaml(files, "registries.yaml")[0]
    assert set(document) <= {"mirrors", "configs"}
    mirror = document["mirrors"].get(registry)
    if mirror is None:
        return [UPSTREAM]
    assert set(mirror) <= {"endpoint", "rewrite"}
    # The first pattern that changes the path wins, in the random order of a Go map.
    possible = {changed for pattern, text in mirror.get("rewrite", {}).items() if (changed := replace_all_go(pattern, text, path)) != path}
    assert len(possible) <= 1, possible
    rewritten = possible.pop() if possible else path
    # k3s writes patterns into TOML between quotes, as they are.
    assert not [text for pair in mirror.get("rewrite", {}).items() for text in pair if '"' in text or "\\" in text]
    asked = [_join_url(url, rewritten, name, override=urlsplit(url).path not in {"", "/", "/v2"}) for url in mirror["endpoint"]]
    settings = load_yaml(files, "config.yaml.d/imgsync.yaml")[0] if "config.yaml.d/imgsync.yaml" in files else {}
    assert set(settings) <= {"disable-default-registry-endpoint"}
    return asked if settings.get("disable-default-registry-endpoint") else [*asked, UPSTREAM]


def ask_as_talos(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Read the documents of Talos: RegistryMirrorConfig, RegistryTLSConfig."""
    fields = {"RegistryMirrorConfig": {"name", "endpoints", "skipFallback"}, "RegistryTLSConfig": {"name", "clientIdentity", "ca", "insecureSkipVerify"}}
    documents = load_yaml(files, "talos.yaml")
    for document in documents:
        assert document["apiVersion"] == "v1alpha1"
        assert set(document) - {"apiVersion", "kind"} <= fields[document["kind"]]
    found = [one for one in documents if one["kind"] == "RegistryMirrorConfig" and one["name"] == registry]
    if not found:
        return [UPSTREAM]
    assert len(found) == 1
    assert all(set(endpoint) <= {"url", "overridePath"} for endpoint in found[0]["endpoints"])
    asked = [_join_url(one["url"], path, name, override=one.get("overridePath", False)) for one in found[0]["endpoints"]]
    return asked if found[0].get("skipFallback") else [*asked, UPSTREAM]


def ask_as_openshift(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Read the sets as the machine-config operator does: as a registries.conf."""
    kinds = {"ImageDigestMirrorSet": "imageDigestMirrors", "ImageTagMirrorSet": "imageTagMirrors"}
    matching: dict[str, list[str]] = {}
    blocked: dict[str, bool] = {}
    for document in load_yaml(files, "image-mirrors.yaml"):
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        assert document["apiVersion"] == "config.openshift.io/v1"
        assert set(document["spec"]) == {kinds[document["kind"]]}
        for entry in document["spec"][kinds[document["kind"]]]:
            assert set(entry) <= {"source", "mirrors", "mirrorSourcePolicy"}
            assert _SOURCE.fullmatch(entry["source"])
            assert all(_SOURCE.fullmatch(mirror) for mirror in entry["mirrors"])
            assert len(set(entry["mirrors"])) == len(entry["mirrors"])
            assert entry.get("mirrorSourcePolicy", "AllowContactingSource") in {"AllowContactingSource", "NeverContactSource"}
            if _is_prefix(entry["source"], f"{registry}/{path}"):
                is_used = (document["kind"] == "ImageDigestMirrorSet") == ("@" in name)
                matching.setdefault(entry["source"], []).extend(entry["mirrors"] if is_used else [])
                blocked[entry["source"]] = entry.get("mirrorSourcePolicy") == "NeverContactSource"
    if not matching:
        return [UPSTREAM]
    source = max(matching, key=len)
    asked = [f"{mirror}{f'{registry}/{path}'.removeprefix(source)}{name}" for mirror in matching[source]]
    return asked if blocked[source] else [*asked, UPSTREAM]


def ask_as_docker(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Read daemon.json: `registry-mirrors`, which Docker asks for images of Docker Hub."""
    document = json.loads(files["daemon.json"])
    assert set(document) <= {"registry-mirrors", "insecure-registries"}
    assert all(urlsplit(url).path in {"", "/"} for url in document["registry-mirrors"])
    return [*(_join_url(url, path, name, override=False) for url in document["registry-mirrors"] if registry == "docker.io"), UPSTREAM]


def ask_as_buildkit(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Read buildkitd.toml: `mirrors`, a host and what comes after /v2."""
    document = tomllib.loads(files["buildkitd.toml"])
    assert set(document) == {"registry"}
    assert all(set(table) <= {"mirrors", "http", "insecure"} for table in document["registry"].values())
    return [*(f"{mirror}/{path}{name}" for mirror in document["registry"].get(registry, {}).get("mirrors", ())), UPSTREAM]


def ask_as_kyverno(files: Mapping[str, str], registry: str, path: str, name: str) -> list[str]:
    """Evaluate the policy for a pod with the image in every place that has one, also by its short names."""
    (policy,) = load_yaml(files, "kyverno.yaml")
    assert set(policy) == {"apiVersion", "kind", "metadata", "spec"}
    assert (policy["apiVersion"], policy["kind"]) == ("policies.kyverno.io/v1", "MutatingPolicy")
    assert set(policy["spec"]) == {"matchConstraints", "mutations"}
    (mutation,) = policy["spec"]["mutations"]
    assert mutation["patchType"] == "ApplyConfiguration"
    asked = set()
    for image in list_short_names(registry, path, name):
        renamed = rename_images(mutation["applyConfiguration"]["expression"], image)
        asked.add(UPSTREAM if renamed == image else renamed)
    assert all(rename_images(mutation["applyConfiguration"]["expression"], one) == one for one in asked - {UPSTREAM})
    assert len(asked) == 1, asked
    return list(asked)


def list_short_names(registry: str, path: str, name: str) -> list[str]:
    """Return all names of an image that mean the same."""
    whole = [f"{registry}/{path}{name}"]
    if registry == "docker.io":
        whole += [f"{path}{name}", f"index.docker.io/{path}{name}"] if "." not in path.partition("/")[0] and "/" in path else []
        official = path.removeprefix("library/")
        whole += [f"{official}{name}", f"docker.io/{official}{name}"] if path == f"library/{official}" and "/" not in official else []
    return whole


def rename_images(expression: str, image: str) -> str:
    """Return the new name of *image*, which must be the same in each kind of container and volume."""
    kinds = ("containers", "initContainers", "ephemeralContainers")
    spec = {kind: [{"name": "app", "image": image}] for kind in kinds}
    spec |= {"volumes": [{"name": "data", "emptyDir": {}}, {"name": "image", "image": {"reference": image}}]}
    found = evaluate(expression, object={"spec": spec})["spec"]
    assert set(found) == {*kinds, "volumes"}
    names = {*(found[kind][0]["image"] for kind in kinds), *(volume["image"]["reference"] for volume in found["volumes"])}
    assert [volume["name"] for volume in found["volumes"]] == ["image"]
    assert len(names) == 1, names
    return names.pop()


def load_yaml(files: Mapping[str, str], name: str) -> list[Any]:
    """Return the documents of a file."""
    return _load(files[name])


@functools.lru_cache(maxsize=16)
def _load(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def replace_all_go(pattern: str, replacement: str, text: str) -> str:
    """Return what Go's regexp.ReplaceAllString returns, for a pattern that matches all of a text or nothing."""
    found = re2.search(pattern, text)
    if found is None:
        return text
    assert found.span() == (0, len(text))
    return re.sub(r"\$\{(\d+)\}", lambda group: found.group(int(group[1])), replacement)


ASK = {
    "containerd": ask_as_containerd,
    "podman": ask_as_podman,
    "k3s": ask_as_k3s,
    "talos": ask_as_talos,
    "openshift": ask_as_openshift,
    "docker": ask_as_docker,
    "buildkit": ask_as_buildkit,
    "kyverno": ask_as_kyverno,
}
