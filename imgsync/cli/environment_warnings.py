"""Warn about ignored or unsafe environment settings."""

from __future__ import annotations

import os

from imgsync.config.model import RegistriesConfig
from imgsync.logs.logger import Logger
from imgsync.registries.clients import Registries

_PROXY_VARIABLES = tuple(name for lower in ("https_proxy", "http_proxy", "all_proxy") for name in (lower.upper(), lower))


def warn_of_environment(settings: RegistriesConfig, registries: Registries, log: Logger) -> None:
    """Log ignored variables and exposed credential files."""
    if ignored := _find_ignored_proxy(settings):
        log.warning("proxy.ignored", reason=f"{ignored} is set but not used; name the proxy in registries.yaml, for each registry behind it (`proxy: URL`)")
    for path in registries.exposed_files:
        log.warning("credentials.exposed", path=path, hint=f"other users of this machine can read or change the credentials in it: chmod 600 {path}")
    if os.environ.get("SSLKEYLOGFILE"):
        log.warning("keylog.ignored", reason="SSLKEYLOGFILE is set but not used: a log of TLS keys would reveal credentials")


def _find_ignored_proxy(settings: RegistriesConfig) -> str:
    """Return the name of an ignored proxy variable."""
    # The variables are ignored, since others may control the environment.
    if any(entry.proxy for entry in settings.by_host.values()):
        return ""
    return next((name for name in _PROXY_VARIABLES if os.environ.get(name)), "")
