"""HTTP proxies."""

from __future__ import annotations

import base64

import pytest

from tests.support.images import image, push
from tests.support.outcomes import error_of
from tests.switches import Respond


@pytest.mark.row("AUTH-22")
def test_login_of_a_proxy_shows_nowhere(registry, name, workplace, imgsync, source):
    """A proxy's login is sent to the proxy, and what it or the registry says of it is not repeated."""
    push(registry, f"{name}/app", "1", image(1))
    login = base64.b64encode(b"me:proxy word-SECRET").decode()
    source.add(Respond(403, {"errors": [{"code": "DENIED", "message": f"you sent {login}, that is proxy word-SECRET or proxy%20word-SECRET"}]}))
    proxy = source.url.replace("://", "://me:proxy%20word-SECRET@")
    workplace.trust_plain(registry, settings={registry.host: {"proxy": proxy}})
    workplace.mirror("a", source=f"{registry}/{name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    message = error_of(imgsync("plan", "-o", "json", "--log-level", "debug"))
    shown = imgsync("validate", "--show")

    assert {one.headers["proxy-authorization"] for one in source.seen} == {f"Basic {login}"}
    assert "you sent ***, that is *** or ***" in message
    assert source.host in shown.stdout
