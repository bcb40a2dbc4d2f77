"""`validate --show`: the configuration as it will be used, defaults filled in, secrets hidden."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import yaml

from imgsync.config.model import Config, Mirror, RegistryTrust, Require, SigningIdentity, SigningKey
from imgsync.text.sanitize import inert, inert_lines
from imgsync.text.units import declared_duration


def show_config(config: Config) -> str:
    """Return *config* as YAML in the words of its own schema."""
    document: dict[str, Any] = {"version": 1, "mirrors": [_mirror(mirror) for mirror in config.mirrors]}
    registries = {name: _registry(trust) for name, trust in config.trust.registries.items()}
    trust: dict[str, Any] = {"version": 1, "registries": registries}
    allow = {
        name: list(prefixes) for name, prefixes in (("sources", config.trust.sources), ("destinations", config.trust.destinations)) if prefixes is not None
    }
    if allow:
        trust["allow"] = allow
    if config.trust.keys:
        trust["keys"] = {name: _key(key) for name, key in config.trust.keys.items()}
    if config.trust.identities:
        trust["identities"] = {name: _identity(identity) for name, identity in config.trust.identities.items()}
    if config.trust.require:
        trust["require"] = {prefix: _require(require) for prefix, require in config.trust.require.items()}
    return f"# mirrors.d\n{_yaml(document)}---\n# registries.yaml\n{_yaml(trust)}"


class _Dumper(yaml.SafeDumper):
    """Puts in double quotes, which know escapes, whatever a terminal or a CI runner might obey."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if inert(text) == text else '"'))


def _yaml(document: object) -> str:
    def dumped(*, allow_unicode: bool) -> str:
        # Never folded: a folded line could begin with a command.
        return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode, width=float("inf")))

    text = dumped(allow_unicode=True)
    return text if inert_lines(text) == text else inert_lines(dumped(allow_unicode=False))


def _mirror(mirror: Mirror) -> dict[str, Any]:
    tags: dict[str, Any] = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(mirror.tags).items() if value is not None}
    if (age := tags.pop("max_age_seconds", None)) is not None:
        tags["max_age"] = declared_duration(age)
    exceptions = tags.pop("min_age_except")
    if (age := tags.pop("min_age_seconds", None)) is not None:
        tags["min_age"] = {"age": declared_duration(age), "except": exceptions} if exceptions else declared_duration(age)
    source = asdict(mirror.source)
    return {
        "name": mirror.name,
        "description": mirror.description,
        "suspend": mirror.suspend,
        "source": {name: list(value) if isinstance(value, tuple) else value for name, value in source.items()},
        "tags": tags,
        "platforms": "all" if mirror.platforms is None else list(mirror.platforms),
        "referrers": mirror.referrers if isinstance(mirror.referrers, bool) else list(mirror.referrers),
        "destinations": [asdict(destination) for destination in mirror.destinations],
        "immutable": list(mirror.immutable),
        "prune": False if mirror.prune is None else {"at_most": mirror.prune.at_most, "protect": list(mirror.prune.protect)},
        "require": _require(mirror.require),
        "concurrency": asdict(mirror.concurrency),
        "timeouts": {name.removesuffix("_seconds"): declared_duration(value) for name, value in asdict(mirror.timeouts).items() if value is not None},
        "retry": {"attempts": mirror.retry.attempts, "interval": declared_duration(mirror.retry.interval_seconds), "login": mirror.retry.login},
    }


def _require(require: Require) -> dict[str, Any]:
    signatures = {name: list(value) for name in ("keys", "identities") if (value := getattr(require, name))}
    shown: dict[str, Any] = {"signatures": signatures} if signatures else {}
    shown |= {name: list(value) for name in ("artifacts", "media_types") if (value := getattr(require, name))}
    return shown if require.max_bytes is None else shown | {"max_size": _size(require.max_bytes)}


def _key(key: SigningKey) -> dict[str, Any]:
    return {"pem": key.public.pem} | ({"signed_as": list(key.signed_as)} if key.signed_as else {})


def _identity(identity: SigningIdentity) -> dict[str, Any]:
    return {"identity": identity.identity, "issuer": identity.issuer, "trust_root": identity.trust_root}


def _registry(trust: RegistryTrust) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "connections": trust.connections,
        "listing": trust.listing if trust.listing_url is None else {"kind": trust.listing, "url": trust.listing_url},
        "create_repositories": trust.create_repositories,
    }
    if trust.credentials is not None:
        shown["credentials"] = {"username": "***", "password": "***"}
    if trust.chunk_bytes is not None:
        shown["chunk_size"] = _size(trust.chunk_bytes)
    if trust.rate is not None:
        shown["rate"] = f"{trust.rate[0]}/{trust.rate[1]:g}s"
    tls = {name: value for name, value in asdict(trust.tls).items() if value is not None and name != "enabled"}
    shown["tls"] = tls if trust.tls.enabled else False
    if trust.proxy is not None:
        shown["proxy"] = trust.proxy.rpartition("@")[2]
    if trust.token_server is not None:
        shown["token_server"] = trust.token_server
    return shown


def _size(count: int) -> str:
    unit, size = next((one for one in (("GiB", 1 << 30), ("MiB", 1 << 20)) if count % one[1] == 0), ("KiB", 1 << 10))
    return f"{count // size}{unit}"
