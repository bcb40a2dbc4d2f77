"""Show a configuration with defaults filled in and secrets hidden (`validate --show`)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import yaml

from imgsync.config.git_settings import GitSettings
from imgsync.config.model import Config, Mirror, RegistriesConfig, RegistrySettings, Requirements, SigningIdentity, SigningKey
from imgsync.config.schedule import Schedule
from imgsync.config.serve_settings import EventSettings, ServeSettings
from imgsync.text.sanitize import sanitize_line, sanitize_lines
from imgsync.text.units import format_declared_duration


def show_config(config: Config) -> str:
    """Return *config* as YAML that fits the schemas."""
    document: dict[str, Any] = {"version": 1, "mirrors": [_show_mirror(mirror) for mirror in config.mirrors]}
    return f"# mirrors.d\n{_dump_yaml(document)}---\n# registries.yaml\n{_dump_yaml(_show_registries(config.registries))}"


def _show_registries(registries: RegistriesConfig) -> dict[str, Any]:
    document: dict[str, Any] = {"version": 1, "registries": {host: _show_registry(settings) for host, settings in registries.by_host.items()}}
    allow = {"sources": registries.allowed_sources, "destinations": registries.allowed_destinations}
    declared = {name: list(prefixes) for name, prefixes in allow.items() if prefixes is not None}
    if declared:
        document["allow"] = declared
    if registries.layouts:
        layouts = registries.layouts.items()
        document["layouts"] = {name: {"path": one.path} | ({"repository": one.repository} if one.repository else {}) for name, one in layouts}
    if registries.serve != ServeSettings():
        document["serve"] = _show_serve(registries.serve)
    if registries.keys:
        document["keys"] = {name: _show_key(key) for name, key in registries.keys.items()}
    if registries.identities:
        document["identities"] = {name: _show_identity(identity) for name, identity in registries.identities.items()}
    if registries.require:
        document["require"] = {prefix: _show_require(require) for prefix, require in registries.require.items()}
    if registries.bundle_signers is not None:
        document["bundles"] = {"require": {"signed_by": list(registries.bundle_signers)}}
    return document


def _show_serve(serve: ServeSettings) -> dict[str, Any]:
    token = {} if serve.token is None else {"token": "***"}
    git = {} if serve.git == GitSettings() else {"git": _show_git(serve.git)}
    events = {name: _show_event(one) for name, one in serve.events.items()}
    return token | {"private": serve.is_private, "hosts": list(serve.hosts)} | git | {"events": events}


def _show_git(git: GitSettings) -> dict[str, Any]:
    login = {} if git.password is None else {"credentials": {"username": "***", "password": "***"}}
    ssh = {name: value for name, value in (("key", git.key), ("known_hosts", git.known_hosts)) if value}
    return login | ({"ca": git.ca} if git.ca else {}) | ({"ssh": ssh} if ssh else {})


def _show_event(event: EventSettings) -> dict[str, Any]:
    shown = {"registry": event.registry, "audience": event.audience, "account": event.account, "keys": event.keys}
    secret = {} if event.secret is None else {"secret": "***"}
    return {"type": event.kind} | secret | {name: value for name, value in shown.items() if value}


class _Dumper(yaml.SafeDumper):
    """Escapes control characters and CI commands."""


_Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if sanitize_line(text) == text else '"'))


def _dump_yaml(document: object) -> str:
    def dump(*, allow_unicode: bool) -> str:
        # Never folded: a folded line could begin with a CI command.
        return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode, width=float("inf")))

    text = dump(allow_unicode=True)
    return text if sanitize_lines(text) == text else sanitize_lines(dump(allow_unicode=False))


def _show_mirror(mirror: Mirror) -> dict[str, Any]:
    tags: dict[str, Any] = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(mirror.tags).items() if value is not None}
    if (age := tags.pop("max_age_seconds", None)) is not None:
        tags["max_age"] = format_declared_duration(age)
    exceptions = tags.pop("min_age_except")
    if (age := tags.pop("min_age_seconds", None)) is not None:
        tags["min_age"] = {"age": format_declared_duration(age), "except": exceptions} if exceptions else format_declared_duration(age)
    source = asdict(mirror.source)
    return {
        "name": mirror.name,
        "description": mirror.description,
        "suspend": mirror.suspend,
        **({} if mirror.schedule is None else {"schedule": _show_schedule(mirror.schedule)}),
        "source": {name: list(value) if isinstance(value, tuple) else value for name, value in source.items()},
        "tags": tags,
        "platforms": "all" if mirror.platforms is None else list(mirror.platforms),
        "referrers": mirror.referrers if isinstance(mirror.referrers, bool) else list(mirror.referrers),
        "destinations": [asdict(destination) for destination in mirror.destinations],
        "immutable": list(mirror.immutable),
        "prune": False if mirror.prune is None else {"at_most": mirror.prune.at_most, "protect": list(mirror.prune.protect), "gone": mirror.prune.gone},
        "require": _show_require(mirror.require),
        "concurrency": asdict(mirror.concurrency),
        "timeouts": {name.removesuffix("_seconds"): format_declared_duration(value) for name, value in asdict(mirror.timeouts).items() if value is not None},
        "retry": {"attempts": mirror.retry.attempts, "interval": format_declared_duration(mirror.retry.interval_seconds), "login": mirror.retry.login},
    }


def _show_schedule(schedule: Schedule) -> dict[str, Any]:
    if schedule.cron:
        return {"cron": schedule.cron, "zone": schedule.zone}
    return {"every": format_declared_duration(schedule.every_seconds), "jitter": f"{schedule.jitter:.0%}"}


def _show_require(require: Requirements) -> dict[str, Any]:
    signatures = {name: list(value) for name in ("keys", "identities") if (value := getattr(require, name))}
    shown: dict[str, Any] = {"signatures": signatures} if signatures else {}
    shown |= {name: list(value) for name in ("artifacts", "media_types") if (value := getattr(require, name))}
    return shown if require.max_bytes is None else shown | {"max_size": _format_size(require.max_bytes)}


def _show_key(key: SigningKey) -> dict[str, Any]:
    return {"pem": key.public.pem} | ({"signed_as": list(key.signed_as)} if key.signed_as else {})


def _show_identity(identity: SigningIdentity) -> dict[str, Any]:
    return {"identity": identity.identity, "issuer": identity.issuer, "trust_root": identity.trust_root}


def _show_registry(settings: RegistrySettings) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "connections": settings.connections,
        "listing": settings.listing if settings.listing_url is None else {"kind": settings.listing, "url": settings.listing_url},
        "max_blob_size": _format_size(settings.max_blob_bytes),
        "create_repositories": settings.create_repositories,
        "http2": settings.http2,
    }
    if settings.credentials is not None:
        shown["credentials"] = {"username": "***", "password": "***"}
    if settings.chunk_bytes is not None:
        shown["chunk_size"] = _format_size(settings.chunk_bytes)
    if settings.rate is not None:
        shown["rate"] = f"{settings.rate[0]}/{settings.rate[1]:g}s"
    tls = {name: value for name, value in asdict(settings.tls).items() if value is not None and name != "enabled"}
    shown["tls"] = tls if settings.tls.enabled else False
    if settings.proxy is not None:
        shown["proxy"] = settings.proxy.rpartition("@")[2]
    if settings.token_server is not None:
        shown["token_server"] = settings.token_server
    if settings.also_known_as:
        shown["also_known_as"] = list(settings.also_known_as)
    return shown


def _format_size(count: int) -> str:
    unit, size = next((one for one in (("GiB", 1 << 30), ("MiB", 1 << 20)) if count % one[1] == 0), ("KiB", 1 << 10))
    return f"{count // size}{unit}"
