"""
What runtimes ask for, found from their files alone.

Each function reads the files as the runtime's documentation says, and shares nothing with the code that wrote them. It returns the images that the
runtime asks for, in order; `UPSTREAM` at the end where it may ask the source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from urllib.parse import urlsplit

UPSTREAM = "upstream"
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


ASK = {"containerd": ask_as_containerd, "podman": ask_as_podman}
