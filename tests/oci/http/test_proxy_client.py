"""HTTP proxies."""

from __future__ import annotations

import base64

import pytest

from tests.support.images import image
from tests.support.outcomes import error_of
from tests.switches import Respond


@pytest.mark.row("AUTH-22")
def test_login_of_a_proxy_is_never_shown(lab):
    """Only the proxy gets it."""
    lab.push("app", "1", image(1))
    login = base64.b64encode(b"me:proxy word-SECRET").decode()
    lab.source.add(Respond(403, {"errors": [{"code": "DENIED", "message": f"you sent {login}, that is proxy word-SECRET or proxy%20word-SECRET"}]}))
    proxy = lab.source.url.replace("://", "://me:proxy%20word-SECRET@")
    lab.workplace.allow_plain_http(lab.source_registry, settings={lab.source_registry.host: {"proxy": proxy}})
    lab.workplace.mirror("a", source=f"{lab.source_registry}/{lab.name}/app", destinations=["127.0.0.1:1/m"], retry={"attempts": 1})

    message = error_of(lab.run("plan", "-o", "json", "--log-level", "debug"))
    shown = lab.run("validate", "--show")

    assert {one.headers["proxy-authorization"] for one in lab.source.seen} == {f"Basic {login}"}
    assert "you sent ***, that is *** or ***" in message
    assert lab.source.host in shown.stdout
