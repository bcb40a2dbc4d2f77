"""
Find the proxy for a CI service, in the environment.

Registries use only the proxies in registries.yaml. Here the environment decides, as it also names the service and the token.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import SplitResult, unquote, urlsplit

from imgsync.errors import UsageError
from imgsync.requeue.trigger import Post


def add_proxy(post: Post, environ: Mapping[str, str]) -> Post:
    """
    Return *post* with the proxy that the environment names for it.

    `https_proxy` (or `http_proxy`) or `all_proxy` names it, unless `no_proxy` excludes the host. Upper case works too.

    Raises:
        UsageError: The proxy has no http or https address.
    """
    parts = urlsplit(post.url)
    if any(_excludes(entry.strip().lower(), parts) for entry in _first(environ, "no_proxy")[1].split(",")):
        return post
    name, proxy = _first(environ, f"{parts.scheme}_proxy", "all_proxy")
    if not proxy:
        return post
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        named = urlsplit(url)
        usable = named.scheme in {"http", "https"} and bool(named.hostname) and named.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{name} is not the address of an http or https proxy, which --requeue needs", hint="correct it, or exclude the service with NO_PROXY")
    secrets = tuple(unquote(secret) for secret in (named.password,) if secret)
    return replace(post, proxy=url, secrets=(*post.secrets, *secrets))


def _first(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first variable that is not empty, and its value."""
    spelled = [spelling for name in names for spelling in (name, name.upper())]
    return next(((name, value) for name in spelled if (value := environ.get(name, "").strip())), ("", ""))


def _excludes(entry: str, parts: SplitResult) -> bool:
    """Return whether *entry* of `no_proxy` matches the host of *parts*."""
    # It is a host, a domain, HOST:PORT, a network, or "*".
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    domain = entry.removeprefix("*").removeprefix(".")
    return entry == "*" or (bool(domain) and (domain in {host, f"{host}:{port}"} or host.endswith(f".{domain}")))
