"""
The proxy on the way to a service: what the runner's own environment names.

Registries are reached as registries.yaml says, whatever the environment asks for. Here address and token come from that same environment, and
runners behind a proxy set these variables for just such calls; so they are obeyed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import SplitResult, unquote, urlsplit

from imgsync.errors import UsageError
from imgsync.requeue.trigger import Post


def proxy_for(post: Post, environ: Mapping[str, str]) -> Post:
    """
    Return *post* by way of the proxy that `https_proxy` (`http_proxy`, `all_proxy`) names, in either case, unless `no_proxy` spares its host.

    Raises:
        UsageError: The proxy is not reached by http or https.
    """
    parts = urlsplit(post.url)
    if any(_spares(entry.strip().lower(), parts) for entry in _first(environ, "no_proxy")[1].split(",")):
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
        raise UsageError(f"{name} names no http or https proxy, and --requeue would have to use it", hint="correct it, or spare the service with NO_PROXY")
    secrets = tuple(unquote(secret) for secret in (named.password,) if secret)
    return replace(post, proxy=url, secrets=(*post.secrets, *secrets))


def _first(environ: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first of *names*, lower case before upper, that says something, and what."""
    spelled = [spelling for name in names for spelling in (name, name.upper())]
    return next(((name, value) for name in spelled if (value := environ.get(name, "").strip())), ("", ""))


def _spares(entry: str, parts: SplitResult) -> bool:
    """Return whether an entry of `no_proxy` means the host of *parts*: a host, a domain, HOST:PORT, a network, or "*" for everybody."""
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    domain = entry.removeprefix("*").removeprefix(".")
    return entry == "*" or (bool(domain) and (domain in {host, f"{host}:{port}"} or host.endswith(f".{domain}")))
