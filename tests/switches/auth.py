"""Switches about credentials and redirects."""

from __future__ import annotations

from tests.support.wire import Answer, Request
from tests.switches import Switch


class UnlessHost(Switch):
    """Apply a switch except for one Host: one server acts as two."""

    def __init__(self, name: str, switch: Switch) -> None:
        """Apply *switch* but where the host is *name*."""
        self._name = name
        self._switch = switch

    def request(self, request: Request) -> Request | Answer:
        """Apply it, or do not."""
        return request if (request.header("host") or "").startswith(self._name) else self._switch.request(request)
