"""`imgsync serve` when what it depends on is slow, wrong or gone."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.support.serving import Serving


def test_silent_registry_of_the_state_holds_up_neither_pages_nor_the_end(lab):
    """Mirrors wait for the state; probes are answered at once, and a signal ends it."""
    lab.declare("app", "tags: {include: ['*']}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        hosts = (lab.source.host, lab.destination.host, host)
        lab.write("registries.yaml", json.dumps({"version": 1, "registries": {one: {"tls": False} for one in hosts}}))
        with Serving(lab.workplace, "--state", f"oci://{host}/state:main", "--grace", "1s") as serving:
            assert serving.get("/healthz").status_code == 200
            assert serving.get("/").status_code == 200
            began = time.monotonic()
            assert serving.end().code == 0
            assert time.monotonic() - began < 10


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_registries_that_are_gone_loosen_nothing(how, lab):
    """Without the file, nothing would be required of images, and a private page would be public."""
    lab.declare("app", "suspend: true", registries="serve: {token: '${PAGE_TOKEN}', private: true}\n")
    with Serving(lab.workplace, env={"PAGE_TOKEN": "page-SECRET-0123456789abcdef0123456789"}) as serving:
        file = lab.folder / "registries.yaml"
        text = file.read_text()
        file.unlink() if how == "gone" else file.write_text("")
        invalid = serving.wait_for("declarations.invalid")
        assert invalid["errors"][0].startswith("registries.yaml")
        assert serving.get("/api/v1/status").status_code == 401
        file.write_text(text)
        serving.wait_for("declarations.loaded", times=2)
