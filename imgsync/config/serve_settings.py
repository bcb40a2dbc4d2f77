"""What `serve` of registries.yaml says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from imgsync.config.git_settings import GitSettings
from imgsync.config.secrets import Secret
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class EventSettings:
    """
    One sender of events.

    `kind` is the `type` in registries.yaml. `registry` is "" for pushes to git. `secret` is None if `audience` and `account` say whose tokens are valid;
    `keys` is then a file of public keys, "" for Google's own.
    """

    kind: str
    registry: str = ""
    secret: Secret | None = None
    audience: str = ""
    account: str = ""
    keys: str = ""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """
    Who may do what at `imgsync serve`.

    Without a `token`, nothing can be started. With `is_private`, reading needs it too. `hosts` are the names of the page, empty for the default.
    """

    token: Secret | None = None
    is_private: bool = False
    hosts: tuple[str, ...] = ()
    git: GitSettings = GitSettings()
    events: Mapping[str, EventSettings] = field(default_factory=dict)
