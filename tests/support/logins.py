"""Credentials of tests, and challenges that ask for them."""

from __future__ import annotations

import base64
from collections.abc import Callable

from tests.support.faults import FaultProxy
from tests.switches import Respond

USER, PASSWORD = "me", "pass-SECRET"


BASIC = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


CREDENTIALS = {"username": USER, "password": PASSWORD}


WANTS_LOGIN = Respond(401, headers={"WWW-Authenticate": 'Basic realm="x"'})


Secure = Callable[..., FaultProxy]


def challenge(realm: str, *, service: str = "registry") -> Respond:
    """Return a 401 that names the token server *realm*."""
    return Respond(401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="{service}"'})
