"""`imgsync serve` when what it depends on is slow, wrong or gone."""

from __future__ import annotations

import json
import socket
import time

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
