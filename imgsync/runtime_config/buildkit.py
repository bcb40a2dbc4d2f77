"""
Write buildkitd.toml: one prefix for each source registry.

Spec: BuildKit's docs/buildkitd.toml.md. BuildKit always asks the source in the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.config.model import Config
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions, describe_mirrors
from imgsync.runtime_config.needs import find_access, list_needs
from imgsync.runtime_config.registry_prefix import RegistryPrefixes, find_registry_prefixes
from imgsync.runtime_config.routes import Route
from imgsync.runtime_config.toml_text import quote_list, quote_toml, write_comment

_CA = 'a path on the node, and name it in buildkitd.toml: [registry."{registry}"] ca = ["PATH"]'
_LOGIN = "`docker login` where buildctl or buildx runs"


def write_buildkit(config: Config, routes: Sequence[Route], findings: Findings, _: RuntimeOptions) -> RuntimeConfig:
    """Return a buildkitd.toml with the mirrors of each source registry."""
    prefixes = find_registry_prefixes(routes, findings, runtime="BuildKit")
    destinations = list(dict.fromkeys(host.registry for one in prefixes for host in one.hosts))
    files = {"buildkitd.toml": "".join(f"{line}\n" for line in _write_lines(prefixes, destinations, config))} if prefixes else {}
    return RuntimeConfig(files, findings.errors, findings.warnings, list_needs(destinations, config.registries, ca=_CA, login=_LOGIN))


def _write_lines(prefixes: Sequence[RegistryPrefixes], destinations: Sequence[str], config: Config) -> Iterator[str]:
    yield write_comment("Written by imgsync (runtime-config buildkit); add it to /etc/buildkit/buildkitd.toml.")
    settings = {one.registry: [f"mirrors = {quote_list(map(str, one.hosts))}"] for one in prefixes}
    for name in (*settings, *destinations):
        access = find_access(name, config.registries)
        lines = settings.setdefault(name, [])
        if access.is_plain and "http = true" not in lines:
            lines.append("http = true")
        if access.is_unverified and "insecure = true" not in lines:
            lines.append("insecure = true")
    mirrors = {one.registry: describe_mirrors(one.mirrors) for one in prefixes}
    for name, lines in settings.items():
        if lines:
            yield ""
            if name in mirrors:
                yield write_comment(f"Mirrors: {mirrors[name]}")
            yield f"[registry.{quote_toml(name)}]"
            yield from (f"  {line}" for line in lines)
