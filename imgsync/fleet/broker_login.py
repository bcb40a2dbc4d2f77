"""How a machine reaches the broker: address, login and TLS."""

from __future__ import annotations

import ssl
from typing import Any

from imgsync.config.model import Tls
from imgsync.fleet.message_key import MessageKey
from imgsync.system.dataclass import dataclass

HEARTBEAT_SECONDS = 4.0
CONNECT_SECONDS = 10.0
REFUSED_HINT = "compare `broker:` in registries.yaml with the broker's users, permissions and certificate"
UNREACHABLE_HINT = "check the broker's address and that it runs; imgsync tries again until it answers"


@dataclass(frozen=True, slots=True)
class BrokerLogin:
    """Where the broker is, and the login, which is never shown."""

    url: str
    tls: Tls = Tls()
    key: MessageKey = MessageKey()

    @property
    def ssl_options(self) -> dict[str, Any] | None:
        """Return what kombu needs to know of TLS, None for plain text."""
        if not self.url.startswith("amqps:"):
            return None
        options = {"ca_certs": self.tls.ca, "certfile": self.tls.cert, "keyfile": self.tls.key}
        verify = ssl.CERT_REQUIRED if self.tls.verify else ssl.CERT_NONE
        return {"cert_reqs": verify, **{name: value for name, value in options.items() if value is not None}}
