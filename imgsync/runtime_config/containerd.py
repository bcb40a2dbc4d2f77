"""
Write hosts.toml of containerd: one prefix for each source registry.

Spec: containerd's docs/hosts.md. containerd refused rewrites of paths: containerd#5171, #11625.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.config.model import Config
from imgsync.runtime_config.model import Findings, RuntimeConfig, RuntimeOptions, describe_mirrors
from imgsync.runtime_config.needs import find_access, list_needs
from imgsync.runtime_config.registry_prefix import HostPrefix, RegistryPrefixes, find_registry_prefixes
from imgsync.runtime_config.routes import Route
from imgsync.runtime_config.toml_text import quote_list, quote_toml, write_comment

_CA = 'a path on the node, and name it in hosts.toml: ca = "PATH"'
_LOGIN = "in containerd's own registry settings, or in the Authorization header of hosts.toml"


def write_containerd(config: Config, routes: Sequence[Route], findings: Findings, options: RuntimeOptions) -> RuntimeConfig:
    """Return the hosts.toml of each source registry."""
    prefixes = find_registry_prefixes(routes, findings, runtime="containerd")
    files = {f"certs.d/{one.registry}/hosts.toml": "".join(f"{line}\n" for line in _write_hosts(one, config, options)) for one in prefixes}
    destinations = (host.registry for one in prefixes for host in one.hosts)
    return RuntimeConfig(files, findings.errors, findings.warnings, list_needs(destinations, config.registries, ca=_CA, login=_LOGIN))


def _write_hosts(prefixes: RegistryPrefixes, config: Config, options: RuntimeOptions) -> Iterator[str]:
    yield write_comment("Written by imgsync (runtime-config containerd); put the folder certs.d at /etc/containerd.")
    yield write_comment(f"Mirrors: {describe_mirrors(prefixes.mirrors)}")
    if options.has_fallback:
        upstream = find_access(prefixes.registry, config.registries)
        yield f"server = {quote_toml(upstream.url)}"
        if upstream.is_unverified:
            yield "skip_verify = true"
    else:
        # containerd always asks a server.
        yield f"server = {quote_toml(_make_url(prefixes.hosts[-1], config))}"
        yield from _write_settings(prefixes.hosts[-1], config, options)
    # Also without fallback: a file without any host is not read, so upstream is asked: containerd#10027.
    for host in prefixes.hosts:
        yield ""
        yield f"[host.{quote_toml(_make_url(host, config))}]"
        yield from (f"  {line}" for line in _write_settings(host, config, options))


def _make_url(host: HostPrefix, config: Config) -> str:
    return f"{find_access(host.registry, config.registries).url}/v2/{host.path}".rstrip("/")


def _write_settings(host: HostPrefix, config: Config, options: RuntimeOptions) -> Iterator[str]:
    yield f"capabilities = {quote_list(['pull'] if options.digest_only else ['pull', 'resolve'])}"
    # Without it containerd adds /v2 after the path, gets a 404 and asks upstream: eks-anywhere#10765.
    yield "override_path = true"
    if find_access(host.registry, config.registries).is_unverified:
        yield "skip_verify = true"
